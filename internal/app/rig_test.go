package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/internal/admin"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/internal/config"
	"github.com/dotsgate/dotsgate/internal/lab"
	"github.com/dotsgate/dotsgate/policy"
)

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// newPKI makes the lab's certificates, in a folder of the test.
func newPKI(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	if err := lab.WritePKI(lab.PKIConfig{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	return dir
}

// labCredentials reads one of the lab's certificates.
func labCredentials(t testing.TB, dir, name string) *coap.Credentials {
	t.Helper()
	c, err := coap.LoadCredentials(coap.CredentialsConfig{
		CertFile: filepath.Join(dir, name+".pem"), KeyFile: filepath.Join(dir, name+".key"), CAFile: filepath.Join(dir, "ca.pem"),
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// gatewayFile is the configuration of the tests' gateway. A request waits so long for the uplink that what an answered one asked is there, on a
// slow machine too. %s: the folder of the certificates, four times; the uplink's
// address; its transport; what a test adds.
const gatewayFile = `
node: {id: gw.lab.example}
listeners:
  - {address: "127.0.0.1:0", transport: dtls, profiles: [rfc9132, draft04]}
  - {address: "127.0.0.1:0", transport: tls}
credentials: {cert: %[1]s/gateway.pem, key: %[1]s/gateway.key, ca: %[1]s/ca.pem}
uplinks:
  - {name: upstream, address: "%[2]s", server_name: upstream.lab.example, transport: %[3]s}
domains:
  - name: lab
    prefixes: [192.0.2.0/24, 198.51.100.0/24, "2001:db8:6401::/48"]
    names: [example.com]
    aliases: {web: {prefixes: [192.0.2.80/32], ports: [80, 443], protocols: [6]}}
    clients:
      - {name: client1, credentials: {cert_names: [client1.lab.example]}}
      - {name: client2, credentials: {cert_names: [client2.lab.example]}}
dns: {static: {www.example.com: [192.0.2.80]}}
store: {path: store.db}
metrics: {address: "127.0.0.1:0"}
admin: {socket: admin.sock}
mitigation: {terminating: 4s, answer_wait: 20s}
%[4]s`

// writeGatewayFile writes the configuration into a folder of its own, where the store goes too.
func writeGatewayFile(t testing.TB, pki, uplink, transport, more string) string {
	t.Helper()
	return writeText(t, gatewayText(pki, uplink, transport, more))
}

func gatewayText(pki, uplink, transport, more string) string {
	return fmt.Sprintf(gatewayFile, pki, uplink, transport, more)
}

// writeText writes a configuration into a folder of its own, where the store goes too.
func writeText(t testing.TB, text string) string {
	t.Helper()
	// A folder of the test may have a name too long for a socket.
	dir, err := os.MkdirTemp("", "dotsgate")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // what is left is in the system's folder for such things
	file := filepath.Join(dir, "dotsgate.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// running gateway of a test.
type testGateway struct {
	*App
	log  *logBuffer
	stop func() error // once; later calls give the same result
}

// startGateway builds and runs the gateway of a configuration file.
func startGateway(t testing.TB, file string) *testGateway {
	t.Helper()
	cfg, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	log := &logBuffer{}
	a, err := Build(t.Context(), cfg, slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})), "test")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	g := &testGateway{App: a, log: log}
	g.stop = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() {
		if err := g.stop(); err != nil {
			t.Errorf("stopping the gateway: %v", err)
		}
		if t.Failed() {
			t.Logf("the gateway's log:\n%s", log)
		}
	})
	return g
}

// operator asks over the admin socket.
func (g *testGateway) operator() *admin.Client { return admin.NewClient(g.cfg.Admin) }

// awaitUplink waits until the uplink is up, or down.
func (g *testGateway) awaitUplink(t testing.TB, up bool) {
	t.Helper()
	eventually(t, fmt.Sprintf("the uplink is up: %v", up), func() error {
		if err := g.ready(); (err == nil) != up {
			return fmt.Errorf("ready: %w", errors.Join(err, errors.New("not as wanted")))
		}
		return nil
	})
}

// eventually asks until there is no error. It is for what nothing tells of by itself.
func eventually(t testing.TB, what string, ask func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		err := ask()
		if err == nil {
			return
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			t.Fatalf("%s: %v", what, err)
		}
	}
}

// logBuffer keeps the log of a gateway.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// has is an error where the log does not have some words.
func (l *logBuffer) has(words string) error {
	if !strings.Contains(l.String(), words) {
		return fmt.Errorf("the log has no %q", words)
	}
	return nil
}

// order fails where the lines that hold these words do not come in this order.
func (l *logBuffer) order(t testing.TB, words ...string) {
	t.Helper()
	rest := l.String()
	for _, w := range words {
		_, after, found := strings.Cut(rest, w)
		if !found {
			t.Fatalf("the log has no %q, or not in its place:\n%s", w, l)
		}
		rest = after
	}
}

// networkOf tells the network of an address.
func networkOf(a net.Addr) string {
	if strings.HasPrefix(a.Network(), "tcp") {
		return coap.NetworkTCP
	}
	return coap.NetworkUDP
}

// policyNow is the policy in force.
func (g *testGateway) policyNow() *policy.Policy { return g.now.Load().cfg.Policy }
