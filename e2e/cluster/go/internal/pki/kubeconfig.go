package pki

import (
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Kubeconfig returns a self-contained kubeconfig that logs in to server as the given user and groups.
func (a *Authority) Kubeconfig(server, user string, groups []string) ([]byte, error) {
	certificatePEM, keyPEM, err := a.Issue(Identity{CommonName: user, Organizations: groups})
	if err != nil {
		return nil, err
	}
	const name = "heterollm"
	config := clientcmdapi.NewConfig()
	config.Clusters[name] = &clientcmdapi.Cluster{Server: server, CertificateAuthorityData: a.certificatePEM}
	config.AuthInfos[user] = &clientcmdapi.AuthInfo{ClientCertificateData: certificatePEM, ClientKeyData: keyPEM}
	config.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: user}
	config.CurrentContext = name
	return clientcmd.Write(*config)
}
