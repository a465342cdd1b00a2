// Command fakenodes keeps nodes without machines Ready and plays the kubelet for the pods scheduled onto them.
//
// It exists to test many nodes and pods on a small machine: no container ever runs on a fake node.
package main

import (
	"context"
	"flag"
	"log"
	"os/signal"
	"syscall"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

const requestsPerSecond = 500

func main() {
	kubeconfig := flag.String("kubeconfig", "", "credentials for the API server")
	count := flag.Int("nodes", 1, "number of fake nodes")
	gpus := flag.Int("gpus", 8, "nvidia.com/gpu of each node")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, *kubeconfig, *count, *gpus); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, kubeconfig string, count, gpus int) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	config.QPS, config.Burst = requestsPerSecond, requestsPerSecond
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	fleet := newFleet(client, count, gpus)
	if err := fleet.create(ctx); err != nil {
		return err
	}
	log.Printf("%d fake nodes with %d GPUs each", count, gpus)
	go fleet.renewLeases(ctx)
	return newPodPlayer(client, fleet.names).run(ctx)
}
