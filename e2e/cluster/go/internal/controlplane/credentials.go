package controlplane

import (
	"os"
	"path/filepath"

	"heterollm.io/e2e/cluster/internal/pki"
)

const (
	serviceAccountKey     = pkiDir + "/sa.key"
	frontProxyAuthority   = "front-proxy-ca"
	frontProxyClient      = "front-proxy-client"
	controllersKubeconfig = "controller-manager.kubeconfig"
	schedulerKubeconfig   = "scheduler.kubeconfig"
)

// writeCredentials makes every key, certificate and kubeconfig. Authorities and the service-account key survive restarts, the rest is
// issued at each start, so that it fits the options. It returns a kubeconfig for the process itself.
func writeCredentials(options *Options, port int) ([]byte, error) {
	if err := os.MkdirAll(pkiDir, 0o700); err != nil {
		return nil, err
	}
	authority, err := pki.EnsureAuthority(pkiDir, clusterAuthority)
	if err != nil {
		return nil, err
	}
	frontProxy, err := pki.EnsureAuthority(pkiDir, frontProxyAuthority)
	if err != nil {
		return nil, err
	}
	if err := pki.EnsureKey(serviceAccountKey); err != nil {
		return nil, err
	}
	hosts, err := options.apiServerHosts()
	if err != nil {
		return nil, err
	}
	masters := []string{"system:masters"}
	certificates := []struct {
		issuer   *pki.Authority
		name     string
		identity pki.Identity
	}{
		{authority, "apiserver", pki.Identity{CommonName: "kube-apiserver", Hosts: hosts}},
		{authority, "apiserver-kubelet-client", pki.Identity{CommonName: "kube-apiserver-kubelet-client", Organizations: masters}},
		{frontProxy, frontProxyClient, pki.Identity{CommonName: frontProxyClient}},
	}
	for _, certificate := range certificates {
		if err := certificate.issuer.IssueFiles(pkiDir, certificate.name, certificate.identity); err != nil {
			return nil, err
		}
	}
	kubeconfigs := []struct {
		path, server, user string
		groups             []string
	}{
		{adminKubeconfig, options.adminURL(port), "kubernetes-admin", masters},
		{controllersKubeconfig, options.localURL(port), "system:kube-controller-manager", nil},
		{schedulerKubeconfig, options.localURL(port), "system:kube-scheduler", nil},
	}
	for _, kubeconfig := range kubeconfigs {
		content, err := authority.Kubeconfig(kubeconfig.server, kubeconfig.user, kubeconfig.groups)
		if err != nil {
			return nil, err
		}
		if err := pki.WriteFile(kubeconfig.path, content); err != nil {
			return nil, err
		}
	}
	return authority.Kubeconfig(options.localURL(port), "heterollm-control-plane", masters)
}

func pkiFile(name string) string { return filepath.Join(pkiDir, name) }
