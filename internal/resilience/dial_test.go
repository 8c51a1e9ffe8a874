package resilience

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/internal/impair"
	"github.com/dotsgate/dotsgate/internal/lab"
	"github.com/dotsgate/dotsgate/internal/testpki"
	"github.com/dotsgate/dotsgate/upstream"
	"github.com/dotsgate/dotsgate/upstream/reach"
)

// dialled is a server behind a bad path, and what reaches it.
type dialled struct {
	t      *testing.T
	ca     *testpki.Authority
	client *coap.Credentials
	server *coap.Server
	link   *lab.Link
}

// behindPath starts a server over one network behind a path with a round-trip time of 40 ms that loses a share of all datagrams either way.
func behindPath(t *testing.T, network string, loss float64) *dialled {
	t.Helper()
	d := &dialled{t: t, ca: testpki.New(t, "resilience")}
	d.client = d.credentials(d.ca.Client("gate.example"))
	var err error
	d.server, err = coap.Listen(coap.ServerConfig{Network: network, Address: "127.0.0.1:0", Credentials: d.credentials(d.ca.Server())})
	if err != nil {
		t.Fatal(err)
	}
	bad := impair.Conditions{Delay: oneWay, Loss: loss}
	d.link, err = lab.NewLink(lab.LinkConfig{Listen: "127.0.0.1:0", To: d.server.Addr().String(), Out: bad, Back: bad, Seed: 1, MaxPeers: 1 << 13})
	if err != nil {
		t.Fatal(err)
	}
	runPart(t, d.server.Run)
	runPart(t, d.link.Run)
	return d
}

func (d *dialled) credentials(leaf *testpki.Leaf) *coap.Credentials {
	d.t.Helper()
	var cfg coap.CredentialsConfig
	cfg.CAFile, cfg.CertFile, cfg.KeyFile = testpki.Files(d.t, d.t.TempDir(), d.ca, leaf)
	c, err := coap.LoadCredentials(cfg)
	if err != nil {
		d.t.Fatal(err)
	}
	return c
}

func (d *dialled) dialer(network string) *coap.Dialer {
	d.t.Helper()
	c, err := coap.NewDialer(coap.DialConfig{
		Network: network, Address: d.link.Addr().String(), ServerName: "localhost", Credentials: d.client, Beside: coap.DefaultBeside(),
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return c
}

// runPart runs a part until the test ends.
func runPart(t *testing.T, run func(context.Context) error) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { stop(); running.Wait() })
}

// freshHandshakes makes many handshakes at once over a path that loses, as a gateway does toward an uplink, in real time.
func freshHandshakes(t *testing.T) {
	runs := counts.handshakes.get(t)
	for _, row := range []struct{ loss, least float64 }{{0.3, 0.92}, {0.5, 0.85}} {
		t.Run("", func(t *testing.T) {
			d := behindPath(t, coap.NetworkUDP, row.loss)
			dialer := d.dialer(coap.NetworkUDP)
			runPart(t, dialer.Run)
			var inTime, ever atomic.Int64
			var all sync.WaitGroup
			for range runs {
				all.Go(func() {
					begun := time.Now()
					s, err := dialer.Dial(t.Context())
					if err != nil {
						return
					}
					ever.Add(1)
					if time.Since(begun) <= within {
						inTime.Add(1)
					}
					_ = s.Close()
				})
				time.Sleep(5 * time.Millisecond) // not all at the same moment
			}
			all.Wait()
			share := float64(inTime.Load()) / float64(runs)
			must(t, share >= row.least, "%.0f %% lost either way, RTT 40 ms: %.1f %% of %d handshakes finish within %v (at least %.0f %%), %.1f %% at all",
				100*row.loss, 100*share, runs, within, 100*row.least, 100*float64(ever.Load())/float64(runs))
		})
	}
}

// blockedUDP reaches an uplink over TLS where all datagrams are lost.
func blockedUDP(t *testing.T) {
	for _, urgent := range []bool{false, true} {
		d := behindPath(t, coap.NetworkTCP, 1)
		r, err := reach.New(reach.Config{
			Address: d.link.Addr().String(), UDP: d.dialer(coap.NetworkUDP), TCP: d.dialer(coap.NetworkTCP),
			Lookup: func(context.Context, string) ([]netip.Addr, error) { return nil, nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		runPart(t, r.Run)
		begun := time.Now()
		s, err := r.Dial(t.Context(), upstream.Destination{Urgent: urgent})
		if err != nil {
			t.Fatal(err)
		}
		took := time.Since(begun)
		must(t, s.Reliable() && took < time.Second, "UDP blocked, RTT 40 ms, under attack %v: a session over %s after %v (TLS, under 1 s)",
			urgent, s.Transport(), took.Round(time.Millisecond))
		_ = s.Close()
	}
}
