package main

import (
	"context"
	"fmt"
	"log"
	"strconv"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

const (
	fakeNodeLabel = "heterollm.io/fake-node"
	// The node lifecycle controller marks a node unknown 50 s after its last renewal (node-monitor-grace-period).
	leaseDuration = 40 * time.Second
	renewInterval = 10 * time.Second
)

// fleet is the set of fake nodes.
type fleet struct {
	client kubernetes.Interface
	names  []string
	gpus   int
}

func newFleet(client kubernetes.Interface, count, gpus int) *fleet {
	names := make([]string, 0, count)
	for i := range count {
		names = append(names, "fake-"+strconv.Itoa(i))
	}
	return &fleet{client: client, names: names, gpus: gpus}
}

// create makes each node and its Lease; those left by an earlier run are taken over.
func (f *fleet) create(ctx context.Context) error {
	for _, name := range f.names {
		_, err := f.client.CoreV1().Nodes().Create(ctx, f.node(name), metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("node %s: %w", name, err)
		}
		if err := f.renew(ctx, name); err != nil {
			return fmt.Errorf("lease of %s: %w", name, err)
		}
	}
	return nil
}

func (f *fleet) node(name string) *corev1.Node {
	capacity := corev1.ResourceList{
		corev1.ResourceCPU:    resource.MustParse("128"),
		corev1.ResourceMemory: resource.MustParse("2Ti"),
		corev1.ResourcePods:   resource.MustParse("250"),
		"nvidia.com/gpu":      *resource.NewQuantity(int64(f.gpus), resource.DecimalSI),
	}
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name: name,
			Labels: map[string]string{
				fakeNodeLabel:            "true",
				corev1.LabelHostname:     name,
				corev1.LabelOSStable:     "linux",
				corev1.LabelArchStable:   "amd64",
				corev1.LabelTopologyZone: "fake",
			},
		},
		Status: corev1.NodeStatus{
			Capacity:    capacity,
			Allocatable: capacity,
			Conditions: []corev1.NodeCondition{{
				Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "FakeNode",
				Message:           "no machine behind this node",
				LastHeartbeatTime: metav1.Now(), LastTransitionTime: metav1.Now(),
			}},
		},
	}
}

// renewLeases keeps every node alive until the context ends.
func (f *fleet) renewLeases(ctx context.Context) {
	ticker := time.NewTicker(renewInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for _, name := range f.names {
			if err := f.renew(ctx, name); err != nil {
				log.Printf("lease of %s: %v", name, err)
			}
		}
	}
}

func (f *fleet) renew(ctx context.Context, name string) error {
	leases := f.client.CoordinationV1().Leases(corev1.NamespaceNodeLease)
	now := metav1.NowMicro()
	lease, err := leases.Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		seconds := int32(leaseDuration.Seconds())
		_, err = leases.Create(ctx, &coordinationv1.Lease{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec: coordinationv1.LeaseSpec{
				HolderIdentity: &name, LeaseDurationSeconds: &seconds, RenewTime: &now,
			},
		}, metav1.CreateOptions{})
		return err
	}
	if err != nil {
		return err
	}
	lease.Spec.RenewTime = &now
	_, err = leases.Update(ctx, lease, metav1.UpdateOptions{})
	return err
}
