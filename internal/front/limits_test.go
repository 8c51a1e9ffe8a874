package front

import (
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dotsgate/dotsgate/internal/pressure"
	"github.com/dotsgate/dotsgate/internal/udp"
)

// prove brings proven hellos of so many ports of one address.
func prove(f *Front, n *memNet, first, count int) {
	for i := range count {
		at := clientAddr(uint16(first + i))
		f.route(n, provenHello(f, at), udpPath(at.Port()))
	}
}

// TestPrefixLimits: who has proven one address has proven no more.
func TestPrefixLimits(t *testing.T) {
	tests := []struct {
		name string
		cfg  Config
		want int
	}{
		{"handshakes of one prefix", Config{MaxPerPrefix: 5, Rate: 1e6, Burst: 1e6}, 5},
		{"speed of one prefix", Config{MaxPerPrefix: 1e6, Rate: 1, Burst: 7}, 7},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // the clock stands
				n := newMemNet()
				tt.cfg.Network = n
				f := newFront(tt.cfg)
				prove(f, n, 1, 50)
				if paths, _ := f.table.counts(); paths != tt.want || f.pending.len() != tt.want {
					t.Errorf("%d handshakes, want %d", paths, tt.want)
				}
				if got := int(f.counters.Refused.Load()); got != 50-tt.want {
					t.Errorf("%d are counted, want %d", got, 50-tt.want)
				}
				c, _ := f.Accept()
				_ = c.Close()
				time.Sleep(time.Second) // a token comes
				prove(f, n, 100, 50)
				if got := f.pending.len(); got > tt.want || f.counters.Proven.Load() != uint64(tt.want)+1 {
					t.Errorf("one ended, and %d were begun in all", f.counters.Proven.Load())
				}
			})
		})
	}
}

// TestMaxPending: the newest handshake takes the place of the oldest, whoever it is.
func TestMaxPending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, func(c *Config) { c.MaxPending, c.Rate, c.Burst = 3, 1e6, 1e6 })
		defer h.close(t)
		for port := range uint16(5) {
			h.inject(provenHello(h.front, clientAddr(10+port)), clientAddr(10+port))
			synctest.Wait()
		}
		for range 2 {
			if err := <-h.failures; !errors.Is(err, ErrReplaced) {
				t.Errorf("a handshake ended with %v", err)
			}
		}
		for port := range uint16(5) {
			if isThere := h.front.table.at(udpPath(10+port)).pending != nil; isThere != (port >= 2) {
				t.Errorf("handshake %d is there: %v", port, isThere)
			}
		}
		c, _ := h.client(t, clientAddr(1)) // and a real one takes the third's
		echo(t, c, "ping")
		if got := h.counters.Replaced.Load(); got != 3 {
			t.Errorf("%d were replaced, want 3", got)
		}
		for range 3 {
			<-h.failures
		}
		if got := h.front.pending.len(); got != 0 {
			t.Errorf("%d are pending at the end", got)
		}
		if fill := h.front.pending.caps.Stats().Fill; fill != 0 {
			t.Errorf("%d prefixes hold something at the end", fill)
		}
		_ = c.Close()
		<-h.ended
	})
}

// TestUnaccepted: more proven peers than wait for Accept are dropped, and nothing of them is left.
func TestUnaccepted(t *testing.T) {
	n := newMemNet()
	f := newFront(Config{Network: n, MaxPerPrefix: 1e6, Rate: 1e6, Burst: 1e6})
	prove(f, n, 1, maxUnaccepted+10)
	if paths, _ := f.table.counts(); paths != maxUnaccepted || f.pending.len() != maxUnaccepted {
		t.Errorf("%d addresses and %d handshakes, want %d", paths, f.pending.len(), maxUnaccepted)
	}
	if got := f.counters.Refused.Load(); got != 10 {
		t.Errorf("%d are counted, want 10", got)
	}
	for range maxUnaccepted {
		c, err := f.Accept()
		if err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
	}
	if paths, ids := f.table.counts(); paths+ids+f.pending.len() > 0 {
		t.Errorf("%d addresses are left", paths)
	}
}

// gaugeAt is a gauge that stands at a level.
func gaugeAt(t *testing.T, r pressure.Reading, want pressure.Level) *pressure.Gauge {
	t.Helper()
	g := pressure.New(pressure.Config{Process: func() pressure.Reading { return r }})
	go func() { _ = g.Run(t.Context()) }()
	time.Sleep(time.Second)
	if g.Level() != want {
		t.Fatalf("the level is %v, want %v", g.Level(), want)
	}
	return g
}

// TestPressure: under load new handshakes are refused, first hellos are answered still, and sessions notice nothing.
func TestPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		defer h.close(t)
		c, _ := h.client(t, clientAddr(1))
		h.front.cfg.Pressure = gaugeAt(t, pressure.Reading{Queue: 1}, pressure.ShedRequests)
		if _, err := h.dial(h.socket(clientAddr(2)), h.clientOptions()); err == nil {
			t.Error("a new client is let in")
		}
		if h.counters.Shed.Load() == 0 || h.counters.Verified.Load() < 2 {
			t.Errorf("%d were shed, and %d asked for their cookie", h.counters.Shed.Load(), h.counters.Verified.Load())
		}
		verified := h.counters.Verified.Load()
		h.inject(clientHello(1, 1, [randomSize]byte{1}, make([]byte, cookieSize)), clientAddr(3))
		synctest.Wait()
		if h.counters.Verified.Load() != verified {
			t.Error("a forged cookie is answered under load")
		}
		echo(t, c, "ping")
		_ = c.Close()
		<-h.ended
	})
}

// TestThisMachineIsNotCounted: many clients may be behind a loopback address, in tests and behind a proxy.
func TestThisMachineIsNotCounted(t *testing.T) {
	n := newMemNet()
	f := newFront(Config{Network: n, MaxPerPrefix: 1, Rate: 1e-6, Burst: 1})
	for port := range uint16(20) {
		at := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.7"), 1000+port)
		f.route(n, provenHello(f, at), udp.Path{Peer: at})
	}
	if got := f.pending.len(); got != 20 {
		t.Errorf("%d handshakes, want 20", got)
	}
	for range 20 {
		c, err := f.Accept()
		if err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
	}
	if fill := f.pending.caps.Stats().Fill; fill != 0 || f.pending.len() != 0 {
		t.Errorf("%d prefixes and %d handshakes at the end", fill, f.pending.len())
	}
}

// TestGivesWayAtOnce: a handshake that gave way to another one before it was counted is not counted any more.
func TestGivesWayAtOnce(t *testing.T) {
	n := newMemNet()
	f := newFront(Config{Network: n})
	at := clientAddr(1)
	h, _ := parseHello(provenHello(f, at))
	c := f.admit(n, &h, udpPath(1))
	f.table.open(c)
	c.giveWay() // as another reader does, before offer goes on
	if f.pending.add(c) != nil {
		t.Error("another one has to give way")
	}
	if pending, held := f.pending.len(), f.pending.caps.Stats().Fill; pending != 0 || held != 0 {
		t.Errorf("%d handshakes and %d prefixes are counted", pending, held)
	}
	if paths, _ := f.table.counts(); paths != 0 {
		t.Errorf("%d addresses are known", paths)
	}
}
