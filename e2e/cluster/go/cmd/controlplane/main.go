// Command controlplane is a Kubernetes control plane in one process, for tests: it needs no root and no containers.
//
//	controlplane run --data-dir DIR                               run until SIGTERM; DIR/ready appears when it is ready
//	controlplane kubeconfig --data-dir DIR --user U --group G     print a kubeconfig for another client, such as a kubelet
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/pflag"

	"heterollm.io/e2e/cluster/internal/controlplane"
)

func main() {
	if err := command(os.Args[1:]); err != nil && !errors.Is(err, pflag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "controlplane:", err)
		os.Exit(1)
	}
}

func command(args []string) error {
	if len(args) == 0 {
		return errors.New("want a subcommand: run or kubeconfig")
	}
	switch args[0] {
	case "run":
		return run(args[1:])
	case "kubeconfig":
		return kubeconfig(args[1:])
	}
	return fmt.Errorf("unknown subcommand %q: want run or kubeconfig", args[0])
}

func run(args []string) error {
	options := &controlplane.Options{}
	flags := pflag.NewFlagSet("controlplane run", pflag.ContinueOnError)
	dataDir(flags, &options.DataDir)
	flags.StringVar(&options.BindAddress, "bind-address", "127.0.0.1", "address that the API server listens on")
	flags.IntVar(&options.Port, "port", 0, "port of the API server; 0 takes the last run's port, or a free one")
	flags.StringVar(&options.AdvertiseAddress, "advertise-address", "", "address of the API server for pods; empty leaves the Service \"kubernetes\" without endpoints")
	flags.StringVar(&options.ExternalURL, "external-url", "", "server named in admin.kubeconfig; empty takes the listening address")
	flags.StringVar(&options.ServiceCIDR, "service-cidr", "10.96.0.0/16", "range of Service addresses")
	flags.StringArrayVar(&options.SANs, "san", nil, "further name or address in the API server's certificate (repeatable)")
	flags.StringArrayVar(&options.APIServerArgs, "apiserver-arg", nil, "further kube-apiserver flag, such as --audit-log-path=FILE (repeatable)")
	watched := flags.Int("exit-with", 0, "end when the process of this id ends, so that a killed test leaves nothing behind")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if options.DataDir == "" {
		return errors.New("--data-dir is required")
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	if *watched != 0 {
		if err := stopWithProcess(*watched, stop); err != nil {
			return err
		}
	}
	return controlplane.Run(ctx, options)
}

func kubeconfig(args []string) error {
	flags := pflag.NewFlagSet("controlplane kubeconfig", pflag.ContinueOnError)
	var directory string
	dataDir(flags, &directory)
	user := flags.String("user", "", "user name, such as system:node:NAME or system:kube-proxy")
	groups := flags.StringArray("group", nil, "group of the user, such as system:nodes (repeatable)")
	server := flags.String("server", "", "URL of the API server as that client reaches it")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if directory == "" || *user == "" || *server == "" {
		return errors.New("--data-dir, --user and --server are required")
	}
	authority, err := controlplane.LoadAuthority(directory)
	if err != nil {
		return err
	}
	content, err := authority.Kubeconfig(*server, *user, *groups)
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(content)
	return err
}

func dataDir(flags *pflag.FlagSet, value *string) {
	flags.StringVar(value, "data-dir", "", "folder of the control plane's data, keys and kubeconfigs")
}
