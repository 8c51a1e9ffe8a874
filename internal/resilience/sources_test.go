package resilience

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// sourceNetwork is the network of the sources that make handshakes; sourceTime is how long they do.
const (
	sourceNetwork = 64
	sourceTime    = 20 * time.Second
)

// handshakesAtOnce: real sources with good credentials make handshakes at once, again and again from the same address and
// port, each as if the one before had never been (RFC 6347, Section 4.2.8). One in three asks for something when the
// handshake is done.
func handshakesAtOnce(t *testing.T) {
	g := startGateway(t) // as shipped: to collect often costs more than all the handshakes
	clients := newFleet(t, g.address, g.keys)
	all := clients.establish(1, counts.sessions.get(t), 32)
	calm := calmly(g, clients, all)
	sources := counts.sources.get(t)

	watch, beats := g.watching(), beating(all, time.Second)
	done, failed := g.crowd(t, sources)
	asked, during := beats.end(), watch.end()
	lost := survivors(all)
	times := clients.forget()

	say("%d sources: %d handshakes finished, %d did not", sources, done, failed)
	say("%d established: %d heartbeats, %d answered at once, %s", len(all), asked, len(times), quantiles(times))
	must(t, done > 0, "%.0f handshakes a second", float64(done)/sourceTime.Seconds())
	must(t, lost == 0, "%d of %d established sessions lost", lost, len(all))
	open := func(f figures) float64 { return f.metrics[`dotsgate_sessions{side="downstream",transport="dtls"}`] }
	after := settled(g, func(f figures) bool { return int(open(f)) <= len(all)+sources })
	must(t, int(open(after)) <= len(all)+sources, "sessions: %.0f afterwards (%.0f at most)", open(after), highest(during, open))
	say("handshakes: %s", troubles(after))
	say("heap held: %.1f MB, before %.1f MB; resident %.0f MB at most, before %.0f MB; goroutines %.0f at most, before %.0f",
		lowest(during, heap)/1e6, calm.heap/1e6, highest(during, resident)/1e6, calm.resident/1e6, highest(during, goroutines), calm.goroutines)
}

// troubles is what the front did with handshakes, where it did anything with them but finish them.
func troubles(f figures) string {
	var all []string
	for name, n := range f.metrics {
		for _, family := range []string{"dotsgate_front_hellos_total", "dotsgate_front_handshake_troubles_total", "dotsgate_handshakes_total"} {
			if labels, ok := strings.CutPrefix(name, family); ok && n > 0 {
				all = append(all, fmt.Sprintf("%s %.0f", labels, n))
			}
		}
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// crowd lets many sources make handshakes for a while, from a process of its own: what they cost themselves is not to be
// seen in the times of others, so they are also the last that the machine serves.
func (g *gateway) crowd(t *testing.T, sources int) (done, failed int) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	result := filepath.Join(g.dir, "crowd.txt")
	cmd := exec.Command(self, "-test.run", "^TestCrowd$", "-test.timeout", "5m")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%v %d %s %s", envCrowd, g.address, sources, g.dir, result))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("the crowd: %v: %s", err, out)
	}
	text, err := os.ReadFile(result)
	if err == nil {
		_, err = fmt.Sscan(string(text), &done, &failed)
	}
	if err != nil {
		t.Fatalf("the crowd's result: %v", err)
	}
	return done, failed
}

// TestCrowd is the sources of handshakesAtOnce, in a process of their own.
func TestCrowd(t *testing.T) {
	var address, dir, result string
	var sources int
	if _, err := fmt.Sscan(os.Getenv(envCrowd), &address, &sources, &dir, &result); err != nil {
		t.Skip("it is a part of TestResilience")
	}
	if err := syscall.Setpriority(syscall.PRIO_PROCESS, 0, 19); err != nil {
		t.Log(err)
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "client.pem"), filepath.Join(dir, "client.key"))
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	crowd := newFleet(t, netip.MustParseAddrPort(address), keys{roots, pair})
	end := time.Now().Add(sourceTime)
	var done, failed atomic.Int64
	var each sync.WaitGroup
	for n := range sources {
		each.Go(func() {
			m := crowd.join(at(sourceNetwork, n))
			for round := n; time.Now().Before(end); round++ {
				if m.shake(sourceTime) != nil {
					failed.Add(1)
					continue
				}
				done.Add(1)
				if round%3 == 0 {
					m.beat()
				}
			}
		})
	}
	each.Wait()
	if err := os.WriteFile(result, fmt.Appendf(nil, "%d %d", done.Load(), failed.Load()), 0o600); err != nil {
		t.Fatal(err)
	}
}

// settled looks at the gateway until it is as it should be, for a while at most.
func settled(g *gateway, good func(figures) bool) figures {
	f := g.figures()
	for range 100 {
		if good(f) {
			break
		}
		time.Sleep(100 * time.Millisecond)
		f = g.figures()
	}
	return f
}
