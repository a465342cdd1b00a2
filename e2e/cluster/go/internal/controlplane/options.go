// Package controlplane runs etcd, kube-apiserver, kube-controller-manager and kube-scheduler in one process, for tests.
package controlplane

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"

	"heterollm.io/e2e/cluster/internal/pki"
)

// Options say where a control plane keeps its data and how it is reached.
type Options struct {
	// DataDir holds everything: etcd's data, keys and kubeconfigs. A later start with the same directory continues with its data.
	DataDir string
	// BindAddress is the address that the API server listens on.
	BindAddress string
	// Port is the API server's port. 0 means the port of the last run in DataDir, or a free one.
	Port int
	// AdvertiseAddress is the address of the API server as pods reach it. Empty: the Service "kubernetes" gets no endpoints.
	AdvertiseAddress string
	// ExternalURL is the server that the admin's kubeconfig names. Empty: the address that the API server listens on.
	ExternalURL string
	// ServiceCIDR is the range of Service addresses.
	ServiceCIDR string
	// SANs are further names and addresses of the API server's certificate.
	SANs []string
	// APIServerArgs are further command-line flags of kube-apiserver.
	APIServerArgs []string
}

// Files and folders in DataDir, which is the process' working directory.
const (
	adminKubeconfig = "admin.kubeconfig"
	readyFile       = "ready"
	portFile        = "port"
	lockFile        = "lock"
	pkiDir          = "pki"
)

const clusterAuthority = "ca"

// LoadAuthority opens the certificate authority of the control plane in dataDir.
func LoadAuthority(dataDir string) (*pki.Authority, error) {
	return pki.LoadAuthority(filepath.Join(dataDir, pkiDir), clusterAuthority)
}

// localURL is how the components of this process, and anything else beside it, reach the API server.
func (o *Options) localURL(port int) string {
	host := o.BindAddress
	if address, err := netip.ParseAddr(host); err == nil && address.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "https://" + net.JoinHostPort(host, strconv.Itoa(port))
}

func (o *Options) adminURL(port int) string {
	if o.ExternalURL != "" {
		return o.ExternalURL
	}
	return o.localURL(port)
}

// apiServerHosts are the names and addresses of the API server's certificate.
func (o *Options) apiServerHosts() ([]string, error) {
	services, err := netip.ParsePrefix(o.ServiceCIDR)
	if err != nil {
		return nil, fmt.Errorf("service CIDR: %w", err)
	}
	hosts := []string{
		"localhost", "127.0.0.1", o.BindAddress,
		"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
		services.Masked().Addr().Next().String(), // the Service "kubernetes"
	}
	if o.AdvertiseAddress != "" {
		hosts = append(hosts, o.AdvertiseAddress)
	}
	return append(hosts, o.SANs...), nil
}

// listen opens the API server's socket, so that no other process can take the port between choosing and using it.
func (o *Options) listen() (net.Listener, error) {
	port := o.Port
	if port == 0 {
		port = lastPort()
	}
	if port != 0 {
		return net.Listen("tcp", net.JoinHostPort(o.BindAddress, strconv.Itoa(port)))
	}
	// Below Linux's range of outgoing ports and below node ports: while a control plane restarts, nothing else picks its port.
	const first, last = 20000, 29999
	start := os.Getpid() % (last - first)
	for offset := range last - first {
		port := first + (start+offset)%(last-first)
		listener, err := net.Listen("tcp", net.JoinHostPort(o.BindAddress, strconv.Itoa(port)))
		if err == nil {
			return listener, os.WriteFile(portFile, []byte(strconv.Itoa(port)), 0o600)
		}
	}
	return nil, errors.New("no free port")
}

// lastPort is the port that an earlier run chose in this data directory, 0 if none.
func lastPort() int {
	text, err := os.ReadFile(portFile)
	if err != nil {
		return 0
	}
	port, err := strconv.Atoi(string(text))
	if err != nil {
		return 0
	}
	return port
}
