package lab

import (
	"context"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/internal/ctl"
	"go.uber.org/goleak"
)

// TestMain also plays the programs that a stage starts: dotslab's own server, and a gateway that keeps everything to itself.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && slices.Contains([]string{"server", "serve", "mitigator"}, os.Args[1]) {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		args := os.Args[1:]
		if args[0] == "serve" {
			args = falseGateway(args[2])
		}
		os.Exit(Main(ctx, args, "test", IO{Out: os.Stdout, Err: os.Stderr}))
	}
	goleak.VerifyTestMain(m)
}

// falseGateway are the arguments of a server at the gateway's place: its clients are served, and nothing goes up.
func falseGateway(config string) []string {
	raw, err := os.ReadFile(config)
	if err != nil {
		panic(err)
	}
	pki := filepath.Join(filepath.Dir(config), "pki")
	cert := regexp.MustCompile(`pki/(\w+)\.pem`).FindStringSubmatch(string(raw) + "pki/gateway.pem")[1]
	address := regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(string(raw))
	return []string{
		"server", "--listen", address, "--listen-tls", address, "--cert", filepath.Join(pki, cert+".pem"),
		"--key", filepath.Join(pki, cert+".key"), "--ca", filepath.Join(pki, "ca.pem"),
	}
}

// testLife is how long a test over the loopback waits for what should take milliseconds.
const testLife = 20 * time.Second

func creds(t *testing.T, dir, name string) *coap.Credentials {
	t.Helper()
	base := filepath.Join(dir, name)
	c, err := coap.LoadCredentials(coap.CredentialsConfig{
		CertFile: base + ".pem", KeyFile: base + ".key", CAFile: filepath.Join(dir, "ca.pem"),
	})
	if err != nil {
		t.Fatalf("loading %s: %v", name, err)
	}
	return c
}

// rig is a simulated server with its journal, on DTLS and TLS.
type rig struct {
	*Server
	t   *testing.T
	dir string

	asked chan struct{} // closed once a request is in the journal

	mu      sync.Mutex
	entries []Entry
}

// newRig starts a server for one test.
func newRig(t *testing.T, cfg ServerConfig) *rig {
	t.Helper()
	r := &rig{t: t, dir: pki(t), asked: make(chan struct{})}
	asked := sync.OnceFunc(func() { close(r.asked) })
	t.Cleanup(asked) // for those who still wait
	cfg.Credentials = creds(t, r.dir, "upstream")
	cfg.Listeners = []Listener{{coap.NetworkUDP, "127.0.0.1:0"}, {coap.NetworkTCP, "127.0.0.1:0"}}
	if cfg.NotifyInterval == 0 {
		cfg.NotifyInterval = -1
	}
	cfg.Record = func(e Entry) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.entries = append(r.entries, e)
		asked()
	}
	var err error
	if r.Server, err = NewServer(cfg); err != nil {
		t.Fatalf("NewServer() = %v", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run() = %v", err)
		}
	})
	return r
}

func (r *rig) journal() []Entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Entry(nil), r.entries...)
}

// config is how a client reaches the server.
func (r *rig) config(client, transport string) ctl.Config {
	base := filepath.Join(r.dir, client)
	cfg := ctl.Config{
		Server: r.Addrs()[0].String(), Cert: base + ".pem", Key: base + ".key", CA: filepath.Join(r.dir, "ca.pem"), Transport: transport,
	}
	if transport == ctl.TransportTLS {
		cfg.Server = r.Addrs()[1].String()
	}
	return cfg
}

// as lets a client use a session.
func (r *rig) as(cfg ctl.Config, use func(context.Context, *ctl.Conn)) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), testLife)
	defer cancel()
	err := ctl.Open(ctx, cfg, testLife, func(ctx context.Context, c *ctl.Conn) error {
		use(ctx, c)
		return nil
	})
	if err != nil {
		r.t.Fatalf("Open() = %v", err)
	}
}

func prefixes(list ...string) dots.Target {
	var t dots.Target
	for _, s := range list {
		t.Prefixes = append(t.Prefixes, netip.MustParsePrefix(s))
	}
	return t
}

func ask(mid uint32, t dots.Target) dots.Request {
	return dots.Request{MID: mid, Target: t, Lifetime: dots.Some[dots.Lifetime](3600)}
}
