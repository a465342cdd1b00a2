package main

import (
	"encoding/json"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// runningPatch is the status patch of a pod all of whose containers run and are ready.
func runningPatch(pod *corev1.Pod, address string, now time.Time) ([]byte, error) {
	at := metav1.NewTime(now)
	status := map[string]any{
		"phase":             corev1.PodRunning,
		"startTime":         at,
		"podIP":             address,
		"podIPs":            []corev1.PodIP{{IP: address}},
		"conditions":        trueConditions(pod, at),
		"containerStatuses": runningContainers(pod, at),
	}
	return json.Marshal(map[string]any{"metadata": map[string]any{"uid": pod.UID}, "status": status})
}

func trueConditions(pod *corev1.Pod, at metav1.Time) []corev1.PodCondition {
	kinds := []corev1.PodConditionType{corev1.PodInitialized, corev1.ContainersReady, corev1.PodReady}
	for _, gate := range pod.Spec.ReadinessGates {
		kinds = append(kinds, gate.ConditionType)
	}
	conditions := make([]corev1.PodCondition, 0, len(kinds))
	for _, kind := range kinds {
		conditions = append(conditions, corev1.PodCondition{Type: kind, Status: corev1.ConditionTrue, LastTransitionTime: at})
	}
	return conditions
}

func runningContainers(pod *corev1.Pod, at metav1.Time) []corev1.ContainerStatus {
	started := true
	statuses := make([]corev1.ContainerStatus, 0, len(pod.Spec.Containers))
	for _, container := range pod.Spec.Containers {
		statuses = append(statuses, corev1.ContainerStatus{
			Name: container.Name, Image: container.Image, ImageID: "fake://" + container.Image, Ready: true, Started: &started,
			State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: at}},
		})
	}
	return statuses
}
