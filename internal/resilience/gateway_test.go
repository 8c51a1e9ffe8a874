package resilience

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/internal/lab"
	"github.com/dotsgate/dotsgate/internal/testpki"
)

// gateway is the process under attack.
type gateway struct {
	t       *testing.T
	cmd     *exec.Cmd
	log     string
	address netip.AddrPort // of both listeners
	metrics string
	keys    keys
	dir     string // with ca.pem, client.pem and client.key
	ended   chan struct{}
	exit    error // once ended
}

// keys are what its clients need.
type keys struct {
	roots  *x509.CertPool
	client tls.Certificate
}

// clientName is the name in the certificate of every client.
const clientName = "client.resilience.example"

// settings are as shipped but for the number of sessions that one identity may have: all of them have the same. What
// mitigates is a program that does nothing.
const settings = `node: {id: resilience}
listeners:
  - {address: "%[1]s", transport: dtls, max_sessions: 100000}
  - {address: "%[1]s", transport: tls, max_sessions: 100000}
credentials: {cert: server.pem, key: server.key, ca: ca.pem}
mitigators:
  - {name: nobody, command: {program: /bin/true}}
domains:
  - name: resilience
    prefixes: [10.0.0.0/8]
    mitigators: [nobody]
    clients: [{name: client, credentials: {cert_names: [%[2]s]}}]
    limits: {max_mitigations: 20000, max_cuids: 20000}
store: {path: dotsgate.db}
metrics: {address: "%[3]s"}
admin: {socket: admin.sock}
`

// collecting makes the gateway's garbage collector run often, so that what it holds can be told from what it has not
// collected yet.
const collecting = "GOGC=25"

// startGateway starts the gateway, as shipped but for the environment given, and waits until it serves. Nothing is pinned to
// a core.
func startGateway(t *testing.T, environment ...string) *gateway {
	t.Helper()
	g := &gateway{t: t, dir: t.TempDir(), ended: make(chan struct{})}
	address, err := lab.FreeAddress()
	if err == nil {
		g.metrics, err = lab.FreeAddress()
	}
	if err != nil {
		t.Fatal(err)
	}
	g.address = netip.MustParseAddrPort(address)
	ca := testpki.New(t, "resilience")
	client := ca.Client(clientName)
	g.keys = keys{ca.Pool(), client.TLS()}
	g.write("ca.pem", ca.PEM())
	for name, leaf := range map[string]*testpki.Leaf{"server": ca.Server(), "client": client} {
		g.write(name+".pem", leaf.CertPEM())
		g.write(name+".key", leaf.KeyPEM())
	}
	file := g.write("dotsgate.yaml", fmt.Appendf(nil, settings, address, clientName, g.metrics))
	g.log = filepath.Join(g.dir, "gateway.log")
	out, err := os.Create(g.log)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	g.cmd = exec.Command(program(t), "serve", "-c", file)
	g.cmd.Stdout, g.cmd.Stderr = out, out
	g.cmd.Env = append(os.Environ(), environment...)
	g.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := g.cmd.Start(); err != nil {
		t.Fatalf("starting the gateway: %v", err)
	}
	go func() {
		defer close(g.ended)
		g.exit = g.cmd.Wait()
	}()
	t.Cleanup(g.stop)
	g.await()
	return g
}

func (g *gateway) write(name string, b []byte) string {
	g.t.Helper()
	path := filepath.Join(g.dir, name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		g.t.Fatal(err)
	}
	return path
}

// program is the built gateway.
func program(t *testing.T) string {
	t.Helper()
	path := os.Getenv(envProgram)
	if path == "" {
		path = "../../build/dotsgate"
	}
	path, err := filepath.Abs(path)
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		t.Fatalf("the gateway is not built (make build): %v", err)
	}
	return path
}

// await waits until the gateway answers.
func (g *gateway) await() {
	g.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		resp, err := http.Get("http://" + g.metrics + "/metrics")
		if err == nil {
			_ = resp.Body.Close() // only that it answers counts
			return
		}
		select {
		case <-g.ended:
			g.t.Fatalf("the gateway ended: %v: %s", g.exit, g.said())
		default:
		}
		if time.Now().After(deadline) {
			g.t.Fatalf("the gateway does not serve: %s", g.said())
		}
	}
}

// stop ends the gateway; it must go by itself, attack or not.
func (g *gateway) stop() {
	_ = g.cmd.Process.Signal(syscall.SIGTERM) // it may be gone, which its exit tells
	kill := time.AfterFunc(30*time.Second, func() { _ = g.cmd.Process.Kill() })
	defer kill.Stop()
	if <-g.ended; g.exit != nil {
		g.t.Errorf("the gateway ended with %v; it said: %s", g.exit, g.said())
	}
}

// said is what the gateway wrote last, for a failure's message.
func (g *gateway) said() string {
	b, _ := os.ReadFile(g.log) // a missing file says nothing
	return string(b[max(0, len(b)-2000):])
}

// figures are what the gateway tells of itself at one moment.
type figures struct {
	heap, stacks, goroutines float64
	resident                 float64 // bytes, from the system
	cpu                      time.Duration
	metrics                  map[string]float64
}

// figures asks the gateway.
func (g *gateway) figures() figures {
	g.t.Helper()
	resp, err := http.Get("http://" + g.metrics + "/metrics")
	if err != nil {
		g.t.Fatalf("asking the gateway: %v; it said: %s", err, g.said())
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	f := figures{metrics: map[string]float64{}}
	for line := range strings.Lines(string(text)) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		if v, err := strconv.ParseFloat(value, 64); ok && err == nil {
			f.metrics[name] = v
		}
	}
	f.heap, f.stacks = f.metrics["go_memstats_heap_alloc_bytes"], f.metrics["go_memstats_stack_inuse_bytes"]
	f.goroutines, f.resident = f.metrics["go_goroutines"], f.metrics["process_resident_memory_bytes"]
	f.cpu = time.Duration(f.metrics["process_cpu_seconds_total"] * float64(time.Second))
	return f
}

// watch looks at the gateway's figures again and again until it is told to end.
type watch struct {
	stop chan struct{}
	done chan struct{}
	seen []figures
}

// watching is a watch that has begun.
func (g *gateway) watching() *watch {
	w := &watch{stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(w.done)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-w.stop:
				return
			case <-tick.C:
				w.seen = append(w.seen, g.figures())
			}
		}
	}()
	return w
}

// end ends the watch and returns all it saw.
func (w *watch) end() []figures {
	close(w.stop)
	<-w.done
	return w.seen
}

// lowest and highest are bounds of a figure. The lowest heap of some time is what is held, the rest being garbage that was
// not collected yet.
func lowest(all []figures, of func(figures) float64) float64 {
	least := of(all[0])
	for _, f := range all {
		least = min(least, of(f))
	}
	return least
}

func highest(all []figures, of func(figures) float64) float64 {
	most := 0.0
	for _, f := range all {
		most = max(most, of(f))
	}
	return most
}

func heap(f figures) float64       { return f.heap }
func stacks(f figures) float64     { return f.stacks }
func goroutines(f figures) float64 { return f.goroutines }
func resident(f figures) float64   { return f.resident }
