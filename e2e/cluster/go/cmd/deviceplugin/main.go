// Command deviceplugin advertises devices that do not exist to the kubelet, so that pods asking for GPUs can be scheduled.
//
// It registers again whenever the kubelet re-creates its registration socket, as the kubelet forgets its plugins on restart.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	api "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
)

const (
	registerTimeout = 10 * time.Second
	pollInterval    = time.Second
)

func main() {
	resource := flag.String("resource", "nvidia.com/gpu", "extended resource to advertise")
	count := flag.Int("count", 8, "number of devices")
	flag.Parse()
	if err := run(*resource, *count); err != nil {
		log.Fatal(err)
	}
}

func run(resource string, count int) error {
	socket := filepath.Join(api.DevicePluginPath, "heterollm.sock")
	for {
		registered, err := waitForKubelet()
		if err != nil {
			return err
		}
		server, err := serve(socket, count)
		if err != nil {
			return err
		}
		if err := register(resource, filepath.Base(socket)); err != nil {
			log.Printf("registration failed, will be tried again: %v", err)
		} else {
			log.Printf("registered %d x %s", count, resource)
			waitForRestart(registered)
		}
		server.Stop()
	}
}

// waitForKubelet returns the identity of the kubelet's registration socket once it exists.
func waitForKubelet() (os.FileInfo, error) {
	for {
		info, err := os.Stat(api.KubeletSocket)
		if err == nil {
			return info, nil
		}
		if !os.IsNotExist(err) {
			return nil, fmt.Errorf("kubelet socket: %w", err)
		}
		time.Sleep(pollInterval)
	}
}

// waitForRestart returns when the registration socket is no longer the one given.
func waitForRestart(registered os.FileInfo) {
	for {
		time.Sleep(pollInterval)
		info, err := os.Stat(api.KubeletSocket)
		if err != nil || !os.SameFile(info, registered) || !info.ModTime().Equal(registered.ModTime()) {
			return
		}
	}
}

func serve(socket string, count int) (*grpc.Server, error) {
	if err := os.Remove(socket); err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return nil, err
	}
	server := grpc.NewServer()
	api.RegisterDevicePluginServer(server, &plugin{devices: devices(count)})
	go func() {
		if err := server.Serve(listener); err != nil {
			log.Printf("device plugin server ended: %v", err)
		}
	}()
	return server, nil
}

func register(resource, endpoint string) error {
	connection, err := grpc.NewClient("unix://"+api.KubeletSocket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer connection.Close()
	ctx, cancel := context.WithTimeout(context.Background(), registerTimeout)
	defer cancel()
	_, err = api.NewRegistrationClient(connection).Register(ctx, &api.RegisterRequest{
		Version:      api.Version,
		Endpoint:     endpoint,
		ResourceName: resource,
		Options:      &api.DevicePluginOptions{},
	})
	return err
}

func devices(count int) []*api.Device {
	found := make([]*api.Device, 0, count)
	for i := range count {
		found = append(found, &api.Device{ID: fmt.Sprintf("simulated-%d", i), Health: api.Healthy})
	}
	return found
}
