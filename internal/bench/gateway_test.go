package bench

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/pprof"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/dotsgate/dotsgate/internal/app"
	"github.com/dotsgate/dotsgate/internal/config"
	"github.com/dotsgate/dotsgate/internal/logging"
)

// gatewayUnderTest is build/dotsgate, or this binary in its place where profiles are wanted.
type gatewayUnderTest struct {
	server  // both listeners have the same address
	metrics string
	profile string // the file of its CPU profile; empty: none
}

// settings make one client entry with many sessions and mitigations; everything else is as shipped.
const settings = `node: {id: bench}
listeners:
  - {address: "%[1]s", transport: dtls, max_sessions: 100000}
  - {address: "%[1]s", transport: tls}
credentials: {cert: %[2]s/server.pem, key: %[2]s/server.key, ca: %[2]s/ca.pem}
uplinks:
  - {name: upstream, address: "%[3]s", server_name: localhost, transport: dtls}
domains:
  - name: bench
    prefixes: [10.0.0.0/8]
    clients: [{name: client, credentials: {cert_names: [%[4]s]}}]
    limits: {max_mitigations: 20000, max_cuids: 20000}
store: {path: dotsgate.db}
metrics: {address: "%[5]s"}
admin: {socket: admin.sock}
`

// startGateway starts a gateway with its upstream and waits until it has a session there.
func startGateway(t *testing.T, profile string) *gatewayUnderTest {
	t.Helper()
	keys := newPKI(t)
	up := startUpstream(t, keys)
	g := &gatewayUnderTest{server: server{address: freeAddress(t), keys: keys, atOnce: 32}, metrics: freeAddress(t)}
	dir := t.TempDir()
	file := filepath.Join(dir, "dotsgate.yaml")
	text := fmt.Sprintf(settings, g.address, keys.dir, up, clientName, g.metrics)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if folder := os.Getenv(envProfile); folder != "" && profile != "" {
		folder, err := filepath.Abs(folder)
		if err == nil {
			err = os.MkdirAll(folder, 0o700)
		}
		if err != nil {
			t.Fatal(err)
		}
		g.profile = filepath.Join(folder, profile+".pprof")
		g.process = launch(t, "gateway", self(t), file, g.profile)
	} else {
		g.process = launch(t, "", program(t), "serve", "-c", file)
	}
	eventually(t, g.process, "the gateway's uplink", func() bool {
		resp, err := http.Get("http://" + g.metrics + "/readyz")
		if err != nil {
			return false
		}
		_ = resp.Body.Close() // only the status counts
		return resp.StatusCode == http.StatusOK
	})
	return g
}

// program is the built gateway.
func program(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs("../../build/dotsgate")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("the gateway is not built (make build): %v", err)
	}
	return path
}

// gauge reads one of the gateway's metrics.
func (g *gatewayUnderTest) gauge(name string) float64 {
	g.t.Helper()
	resp, err := http.Get("http://" + g.metrics + "/metrics")
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				g.t.Fatal(err)
			}
			return v
		}
	}
	g.t.Fatalf("no metric %s", name)
	return 0
}

// profiled begins a CPU profile, if one is wanted, and returns what ends it.
func (g *gatewayUnderTest) profiled() func() {
	if g.profile == "" {
		return func() {}
	}
	g.signal(syscall.SIGUSR1)
	return func() { g.signal(syscall.SIGUSR2) }
}

// over is the gateway's listener of a transport.
func (g *gatewayUnderTest) over(network string) server {
	s := g.server
	s.network = network
	return s
}

// serveProfiled is the gateway inside this binary: SIGUSR1 begins a CPU profile, SIGUSR2 ends it.
func serveProfiled(file, profile string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	cfg, err := config.Load(file)
	if err != nil {
		return err
	}
	log, err := logging.New(os.Stderr, cfg.Log.Level, cfg.Log.Format)
	if err != nil {
		return err
	}
	memory := app.PlanMemory(os.DirFS("/"), os.Getenv)
	memory.Apply(log)
	out, err := os.Create(profile)
	if err != nil {
		return err
	}
	defer out.Close()
	marks := make(chan os.Signal, 2)
	signal.Notify(marks, syscall.SIGUSR1, syscall.SIGUSR2)
	go func() {
		for s := range marks {
			if s == syscall.SIGUSR2 {
				pprof.StopCPUProfile()
			} else if err := pprof.StartCPUProfile(out); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
		}
	}()
	a, err := app.Build(ctx, cfg, log, "bench")
	if err != nil {
		return err
	}
	a.SetMemory(memory)
	return a.Run(ctx)
}
