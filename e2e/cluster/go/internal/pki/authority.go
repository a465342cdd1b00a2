// Package pki issues the certificates, keys and kubeconfigs of a throw-away cluster.
package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

const validity = 10 * 365 * 24 * time.Hour

// Authority is a certificate authority whose certificate and key lie at <directory>/<name>.crt and .key.
type Authority struct {
	certificate    *x509.Certificate
	certificatePEM []byte
	key            *ecdsa.PrivateKey
}

// Identity is what a certificate says about its owner. Hosts (names or addresses) make it a server certificate as well.
type Identity struct {
	CommonName    string
	Organizations []string
	Hosts         []string
}

// LoadAuthority reads an authority made earlier.
func LoadAuthority(directory, name string) (*Authority, error) {
	certificatePEM, err := os.ReadFile(filepath.Join(directory, name+".crt"))
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(certificatePEM)
	if block == nil {
		return nil, fmt.Errorf("%s.crt holds no PEM block", name)
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, err
	}
	key, err := readKey(filepath.Join(directory, name+".key"))
	if err != nil {
		return nil, err
	}
	return &Authority{certificate, certificatePEM, key}, nil
}

// EnsureAuthority loads the authority, and creates it first where there is none: clients keep trusting a restarted cluster.
func EnsureAuthority(directory, name string) (*Authority, error) {
	authority, err := LoadAuthority(directory, name)
	if !errors.Is(err, fs.ErrNotExist) {
		return authority, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template, err := newTemplate(Identity{CommonName: name})
	if err != nil {
		return nil, err
	}
	template.IsCA = true
	template.KeyUsage |= x509.KeyUsageCertSign
	certificatePEM, err := sign(template, template, key, key)
	if err != nil {
		return nil, err
	}
	if err := writeKey(filepath.Join(directory, name+".key"), key); err != nil {
		return nil, err
	}
	// The certificate is written last: an authority either exists whole or is made anew.
	if err := WriteFile(filepath.Join(directory, name+".crt"), certificatePEM); err != nil {
		return nil, err
	}
	return LoadAuthority(directory, name)
}

// Issue returns a new certificate and its key, both PEM.
func (a *Authority) Issue(identity Identity) (certificatePEM, keyPEM []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template, err := newTemplate(identity)
	if err != nil {
		return nil, nil, err
	}
	certificatePEM, err = sign(template, a.certificate, key, a.key)
	if err != nil {
		return nil, nil, err
	}
	keyPEM, err = encodeKey(key)
	return certificatePEM, keyPEM, err
}

// IssueFiles issues a certificate to <directory>/<name>.crt and .key.
func (a *Authority) IssueFiles(directory, name string, identity Identity) error {
	certificatePEM, keyPEM, err := a.Issue(identity)
	if err != nil {
		return err
	}
	if err := WriteFile(filepath.Join(directory, name+".crt"), certificatePEM); err != nil {
		return err
	}
	return WriteFile(filepath.Join(directory, name+".key"), keyPEM)
}

// EnsureKey creates a signing key at path unless it exists.
func EnsureKey(path string) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	return writeKey(path, key)
}

// WriteFile replaces a file in one step, readable by its owner only.
func WriteFile(path string, content []byte) error {
	temporary := path + ".tmp"
	if err := os.WriteFile(temporary, content, 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}

func newTemplate(identity Identity) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 64))
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: identity.CommonName, Organization: identity.Organizations},
		// An hour back, for machines of one test whose clocks differ.
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(validity),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}
	for _, host := range identity.Hosts {
		if address := net.ParseIP(host); address != nil {
			template.IPAddresses = append(template.IPAddresses, address)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	if len(identity.Hosts) > 0 {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	return template, nil
}

func sign(template, parent *x509.Certificate, key, parentKey *ecdsa.PrivateKey) ([]byte, error) {
	if template == parent {
		// A root may sign certificates for every use.
		template.ExtKeyUsage = nil
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}

func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), nil
}

func writeKey(path string, key *ecdsa.PrivateKey) error {
	keyPEM, err := encodeKey(key)
	if err != nil {
		return err
	}
	return WriteFile(path, keyPEM)
}

func readKey(path string) (*ecdsa.PrivateKey, error) {
	keyPEM, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(keyPEM)
	if block == nil {
		return nil, fmt.Errorf("%s holds no PEM block", path)
	}
	return x509.ParseECPrivateKey(block.Bytes)
}
