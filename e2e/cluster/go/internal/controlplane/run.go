package controlplane

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"

	// Registers the client and build metrics, as the components' own commands do.
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
)

const (
	startLimit     = 60 * time.Second
	startGCPercent = 400
	probeInterval  = 50 * time.Millisecond
	// The API server's socket takes connections long before anybody answers them, or although nobody ever will.
	probeLimit = time.Second
	// How long a part may take to stop before it is left behind: the process ends then anyway.
	stopLimit = 5 * time.Second
)

// Run starts the control plane. It returns nil after ctx has ended, or the error of the first part that failed.
func Run(ctx context.Context, options *Options) error {
	started := time.Now()
	// Nearly a third of the CPU time of a start would go into collecting garbage that is still small.
	settledGC := debug.SetGCPercent(startGCPercent)
	unlock, err := enterDataDir(options.DataDir)
	if err != nil {
		return err
	}
	defer unlock()
	listener, err := options.listen()
	if err != nil {
		return err
	}
	kubeconfig, err := writeCredentials(options, listener.Addr().(*net.TCPAddr).Port)
	if err != nil {
		return err
	}
	client, err := newClient(kubeconfig)
	if err != nil {
		return err
	}
	// Client-side warnings about deprecated API versions are for users, not for the controllers inside.
	rest.SetDefaultWarningHandler(rest.NoWarnings{})

	etcd, err := startEtcd()
	if err != nil {
		return fmt.Errorf("etcd: %w", err)
	}
	// Deferred, so it comes after the API server, which cannot stop in order without its storage.
	defer etcd.Close()

	failed := make(chan error, 3)
	apiServer := launch("kube-apiserver", failed, func(ctx context.Context) error { return runAPIServer(ctx, options, listener) })
	defer apiServer.stop()
	if err := wait(ctx, failed, func(ctx context.Context) bool { return apiServerReady(ctx, client) }); err != nil {
		return ignoreEnd(ctx, err)
	}
	scheduler := launch("kube-scheduler", failed, runScheduler)
	defer scheduler.stop()
	controllerManager := launch("kube-controller-manager", failed, runControllerManager)
	defer controllerManager.stop()
	if err := wait(ctx, failed, func(ctx context.Context) bool { return controllersReady(ctx, client) }); err != nil {
		return ignoreEnd(ctx, err)
	}
	debug.SetGCPercent(settledGC)
	klog.InfoS("Control plane ready", "after", time.Since(started).Round(time.Millisecond))
	if err := os.WriteFile(readyFile, nil, 0o600); err != nil {
		return err
	}
	defer os.Remove(readyFile)
	select {
	case <-ctx.Done():
		return nil
	case err := <-failed:
		return err
	}
}

// enterDataDir makes the data directory the working directory, so that socket paths stay short, and locks it.
func enterDataDir(path string) (unlock func() error, err error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, err
	}
	if err := os.Chdir(path); err != nil {
		return nil, err
	}
	lock, err := os.Create(lockFile)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, fmt.Errorf("another control plane runs in %s: %w", path, err)
	}
	// A killed process leaves it behind.
	if err := os.Remove(readyFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return lock.Close, nil
}

// component is a part that runs until it is stopped.
type component struct {
	name   string
	cancel context.CancelFunc
	done   chan struct{}
}

// launch runs a part in the background. If it ends without having been stopped, that goes to failed.
func launch(name string, failed chan<- error, run func(context.Context) error) *component {
	ctx, cancel := context.WithCancel(context.Background())
	started := &component{name: name, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(started.done)
		err := run(ctx)
		if ctx.Err() == nil {
			failed <- fmt.Errorf("%s ended: %w", name, err)
		}
	}()
	return started
}

func (c *component) stop() {
	c.cancel()
	select {
	case <-c.done:
	case <-time.After(stopLimit):
		klog.InfoS("Leaving a part behind that does not stop", "part", c.name, "after", stopLimit)
	}
}

// wait polls until the condition holds. Its error is the end of ctx, a failed part, or the time limit.
func wait(ctx context.Context, failed <-chan error, condition func(context.Context) bool) error {
	limit, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	ticker := time.NewTicker(probeInterval)
	defer ticker.Stop()
	probe := func() bool {
		ctx, cancel := context.WithTimeout(limit, probeLimit)
		defer cancel()
		return condition(ctx)
	}
	for !probe() {
		select {
		case err := <-failed:
			return err
		case <-limit.Done():
			return fmt.Errorf("not ready after %s: %w", startLimit, limit.Err())
		case <-ticker.C:
		}
	}
	return nil
}

// ignoreEnd turns the error of a start that was asked to end into none.
func ignoreEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func newClient(kubeconfig []byte) (*kubernetes.Clientset, error) {
	config, err := clientcmd.RESTConfigFromKubeConfig(kubeconfig)
	if err != nil {
		return nil, err
	}
	return kubernetes.NewForConfig(config)
}

func apiServerReady(ctx context.Context, client *kubernetes.Clientset) bool {
	return client.RESTClient().Get().AbsPath("/readyz").Do(ctx).Error() == nil
}

// controllersReady tells whether the controller manager works: pods can be made only when it has made the service account they use.
func controllersReady(ctx context.Context, client *kubernetes.Clientset) bool {
	_, err := client.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{})
	return err == nil
}
