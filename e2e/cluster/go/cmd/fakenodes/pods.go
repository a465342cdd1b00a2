package main

import (
	"context"
	"log"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
)

const workers = 8

// podPlayer marks pods of fake nodes Running and Ready, and removes them when they are to end.
type podPlayer struct {
	client    kubernetes.Interface
	nodes     map[string]bool
	addresses addressPool
	queue     workqueue.TypedRateLimitingInterface[cache.ObjectName]
	pods      listers.PodLister
}

func newPodPlayer(client kubernetes.Interface, nodes []string) *podPlayer {
	player := &podPlayer{
		client: client,
		nodes:  map[string]bool{},
		queue:  workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[cache.ObjectName]()),
	}
	for _, name := range nodes {
		player.nodes[name] = true
	}
	return player
}

// run plays until the context ends.
func (p *podPlayer) run(ctx context.Context) error {
	factory := informers.NewSharedInformerFactory(p.client, 0)
	informer := factory.Core().V1().Pods()
	p.pods = informer.Lister()
	_, err := informer.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    p.observe,
		UpdateFunc: func(_, pod any) { p.observe(pod) },
	})
	if err != nil {
		return err
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	for range workers {
		go p.work(ctx)
	}
	<-ctx.Done()
	p.queue.ShutDown()
	return nil
}

func (p *podPlayer) observe(object any) {
	pod, ok := object.(*corev1.Pod)
	if !ok || !p.nodes[pod.Spec.NodeName] {
		return
	}
	p.addresses.taken(pod.Status.PodIP)
	p.queue.Add(cache.MetaObjectToName(pod))
}

func (p *podPlayer) work(ctx context.Context) {
	for {
		name, shutdown := p.queue.Get()
		if shutdown {
			return
		}
		if err := p.play(ctx, name); err != nil && ctx.Err() == nil {
			log.Printf("pod %s: %v", name, err)
			p.queue.AddRateLimited(name)
		} else {
			p.queue.Forget(name)
		}
		p.queue.Done(name)
	}
}

// play brings one pod one step on; a pod that has gone meanwhile needs nothing.
func (p *podPlayer) play(ctx context.Context, name cache.ObjectName) error {
	pod, err := p.pods.Pods(name.Namespace).Get(name.Name)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	api := p.client.CoreV1().Pods(pod.Namespace)
	switch {
	case pod.DeletionTimestamp != nil:
		now := int64(0)
		err = api.Delete(ctx, pod.Name, metav1.DeleteOptions{
			GracePeriodSeconds: &now, Preconditions: metav1.NewUIDPreconditions(string(pod.UID)),
		})
	case pod.Status.Phase == corev1.PodPending:
		var patch []byte
		if patch, err = runningPatch(pod, p.addresses.next(), time.Now()); err != nil {
			return err
		}
		_, err = api.Patch(ctx, pod.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	}
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}
