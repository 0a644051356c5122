// The servers of a Kubernetes cluster in one binary, for the tests: etcd, the API server and the
// controller manager as released, and the one certificate that such a cluster needs.
package main

import (
	"fmt"
	"net"
	"os"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/client-go/util/cert"
	"k8s.io/component-base/cli"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	manager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
)

func main() {
	if len(os.Args) < 2 {
		fail("use: etcd | apiserver | manager [flags], or certificate <server.crt> <server.key>")
	}
	switch name, arguments := os.Args[1], os.Args[2:]; name {
	case "etcd":
		etcdmain.Main(os.Args[1:])
	case "apiserver":
		run(apiserver.NewAPIServerCommand(), arguments)
	case "manager":
		run(manager.NewControllerManagerCommand(), arguments)
	case "certificate":
		writeCertificate(arguments[0], arguments[1])
	default:
		fail("no server is called " + name)
	}
}

func run(command *cobra.Command, arguments []string) {
	command.SetArgs(arguments)
	os.Exit(cli.Run(command))
}

// writeCertificate makes a key and a certificate for 127.0.0.1, followed by the CA that signed it.
func writeCertificate(certificate, key string) {
	loopback := []net.IP{net.IPv4(127, 0, 0, 1)}
	chain, private, err := cert.GenerateSelfSignedCertKey("localhost", loopback, nil)
	if err == nil {
		err = os.WriteFile(certificate, chain, 0o600)
	}
	if err == nil {
		err = os.WriteFile(key, private, 0o600)
	}
	if err != nil {
		fail(err.Error())
	}
}

func fail(message string) {
	fmt.Fprintln(os.Stderr, message)
	os.Exit(1)
}
