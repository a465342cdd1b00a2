package controlplane

import (
	"fmt"
	"net/url"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
)

// etcdEndpoint is a socket in the data directory (the process' working directory): no port to clash, and only the owner can open it.
const etcdEndpoint = "unix://etcd-client.sock"

const etcdStartLimit = 30 * time.Second

func startEtcd() (*embed.Etcd, error) {
	config := embed.NewConfig()
	config.Name = "default"
	config.Dir = "etcd"
	client := url.URL{Scheme: "unix", Host: "etcd-client.sock"}
	peer := url.URL{Scheme: "unix", Host: "etcd-peer.sock"}
	config.ListenClientUrls, config.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	config.ListenPeerUrls, config.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	config.EnableGRPCGateway = false
	// The data is thrown away after a test: losing it in a power cut costs nothing, waiting for the disk costs seconds.
	config.UnsafeNoFsync = true
	config.LogLevel = "error"
	config.LogOutputs = []string{"stderr"}
	server, err := embed.StartEtcd(config)
	if err != nil {
		return nil, err
	}
	select {
	case <-server.Server.ReadyNotify():
		return server, nil
	case err := <-server.Err():
		return nil, err
	case <-time.After(etcdStartLimit):
		server.Close()
		return nil, fmt.Errorf("not ready after %s", etcdStartLimit)
	}
}
