package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/wire/rfc9132"
)

// load is the load that a test puts on a rig.
func (r *rig) load(mode string) LoadConfig {
	return LoadConfig{
		Address: r.Addrs()[0].String(), Network: coap.NetworkUDP, Credentials: creds(r.t, r.dir, "client1"), Profile: rfc9132.New(),
		CUID: "loader", Mode: mode, Sessions: 2, InFlight: 3, Count: 300, Prefix: netip.MustParsePrefix("192.0.2.0/24"),
	}
}

func TestLoadModes(t *testing.T) {
	tests := []struct {
		mode  string
		codes []string // that there must be, and no other
		left  int      // mitigations that must stand at the end; -1: any
	}{
		{ModeEcho, []string{"2.04"}, 0},
		{ModePutRefresh, []string{"2.01", "2.04"}, 6},
		{ModeGet, []string{"2.01", "2.05"}, 6},
		{ModeMixed, []string{"2.01", "2.02", "2.04", "2.05"}, -1},
	}
	for _, tt := range tests {
		for _, network := range []string{coap.NetworkUDP, coap.NetworkTCP} {
			t.Run(tt.mode+" "+network, func(t *testing.T) {
				r := newRig(t, ServerConfig{})
				cfg := r.load(tt.mode)
				if cfg.Network = network; network == coap.NetworkTCP {
					cfg.Address = r.Addrs()[1].String()
				}
				result, err := Load(t.Context(), cfg)
				if err != nil {
					t.Fatalf("Load() = %v", err)
				}
				sum := uint64(0)
				for _, code := range tt.codes {
					if result.Codes[code] == 0 {
						t.Errorf("no %s", code)
					}
					sum += result.Codes[code]
				}
				if result.Requests != 300 || sum != 300 || result.Dials != 2 || result.DialFailures != 0 {
					t.Errorf("result %+v", result)
				}
				if result.P50 <= 0 || result.P50 > result.P99 || result.P99 > result.Max || result.Rate() <= 0 {
					t.Errorf("times %+v", result)
				}
				if n := r.Mitigations(); tt.left >= 0 && n != tt.left {
					t.Errorf("%d mitigations stand, want %d", n, tt.left)
				}
			})
		}
	}
}

// TestLoadRecords: what is acknowledged and not asked to be withdrawn stands at the server.
func TestLoadRecords(t *testing.T) {
	r := newRig(t, ServerConfig{Terminating: time.Hour})
	cfg := r.load(ModeMixed)
	cfg.CUIDPerSession, cfg.FirstMID = true, 100
	var mu sync.Mutex
	standing := make(map[string]bool)
	asked := make(map[string]bool)
	cfg.Record = func(a Ack) {
		mu.Lock()
		defer mu.Unlock()
		key := fmt.Sprint(a.CUID, " ", a.MID)
		switch {
		case a.MID < 100 || !strings.HasPrefix(a.CUID, "loader-") || a.Prefix == "" || a.Time.IsZero():
			t.Errorf("record %+v", a)
		case a.Code == "":
			asked[key+a.Op] = true
			standing[key] = standing[key] && a.Op != "withdraw"
		case !asked[key+a.Op]:
			t.Errorf("acknowledged and not asked: %+v", a)
		case a.Code == "2.01":
			standing[key] = true
		}
	}
	if _, err := Load(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	at := make(map[string]bool)
	for _, e := range r.entries {
		switch {
		case e.Op == "put mitigation" && e.Answer == "2.01":
			at[fmt.Sprint(e.CUID, " ", *e.MID)] = true
		case e.Op == "delete mitigation":
			delete(at, fmt.Sprint(e.CUID, " ", *e.MID))
		}
	}
	n := 0
	for key, stands := range standing {
		if stands {
			n++
		}
		if stands != at[key] {
			t.Errorf("%s: recorded as standing: %v, at the server: %v", key, stands, at[key])
		}
	}
	if n == 0 || len(standing) <= 6 {
		t.Errorf("%d of %d stand: nothing was seen", n, len(standing))
	}
}

// TestLoadSurvivesTheServer: the server goes away and comes back at the same address.
func TestLoadSurvivesTheServer(t *testing.T) {
	dir := pki(t)
	cfg := ServerConfig{Credentials: creds(t, dir, "upstream"), Listeners: []Listener{{coap.NetworkTCP, "127.0.0.1:0"}}}
	var address string
	serve := func() func() {
		s, err := NewServer(cfg)
		if err != nil {
			t.Fatal(err)
		}
		address = s.Addr().String()
		cfg.Listeners[0].Address = address
		ctx, stop := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		return func() {
			stop()
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	}
	stop := serve()
	reached := make(chan struct{}, 1)
	var mu sync.Mutex
	count := 0
	load := LoadConfig{
		Address: address, Network: coap.NetworkTCP, Credentials: creds(t, dir, "client1"), Profile: rfc9132.New(), CUID: "loader",
		Mode: ModePutRefresh, Count: 1 << 40, Prefix: netip.MustParsePrefix("192.0.2.0/24"),
		Record: func(a Ack) {
			mu.Lock()
			defer mu.Unlock()
			if a.Code == "" {
				return
			}
			if count++; count%50 == 0 {
				select {
				case reached <- struct{}{}:
				default:
				}
			}
		},
	}
	ctx, end := context.WithTimeout(t.Context(), testLife)
	defer end()
	done := make(chan LoadResult, 1)
	go func() {
		r, err := Load(ctx, load)
		if err != nil {
			t.Error(err)
		}
		done <- r
	}()
	wait := func() {
		t.Helper()
		select {
		case <-reached:
		case <-ctx.Done():
			t.Error("the load does not go on")
		}
	}
	wait()
	stop()
	select {
	case <-reached:
	default:
	}
	stop = serve()
	defer stop()
	wait()
	end()
	if r := <-done; r.Dials < 2 || r.Codes["session"] == 0 || r.Codes["2.04"] == 0 {
		t.Errorf("result %+v", r)
	}
}

func TestLoadMistakes(t *testing.T) {
	good := LoadConfig{Mode: ModeEcho, Count: 1, Address: "127.0.0.1:1", Network: coap.NetworkUDP}
	tests := []struct {
		name   string
		change func(*LoadConfig)
		want   string
	}{
		{"an unknown mode", func(c *LoadConfig) { c.Mode = "flood" }, `unknown mode "flood"`},
		{"no end", func(c *LoadConfig) { c.Count = 0 }, "duration or a count"},
		{"no targets", func(c *LoadConfig) { c.Mode = ModeGet }, "prefix"},
		{"no credentials", func(*LoadConfig) {}, "credentials"},
	}
	for _, tt := range tests {
		cfg := good
		tt.change(&cfg)
		if _, err := Load(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

// TestLoadWithoutAServer ends by its duration and tells how often it tried.
func TestLoadWithoutAServer(t *testing.T) {
	cfg := LoadConfig{
		Address: "127.0.0.1:1", Network: coap.NetworkTCP, Credentials: creds(t, pki(t), "client1"), Profile: rfc9132.New(), CUID: "x",
		Mode: ModeEcho, Duration: 300 * time.Millisecond,
	}
	r, err := Load(t.Context(), cfg)
	if err != nil || r.LastDialError == nil || r.DialFailures == 0 || r.Requests != 0 || r.Rate() != 0 {
		t.Errorf("Load() = %+v, %v", r, err)
	}
}

// TestLoadFailure: a load that was none is told from every other one.
func TestLoadFailure(t *testing.T) {
	refused := errors.New("refused")
	tests := []struct {
		name string
		r    LoadResult
		want string // empty: it was one
	}{
		{"no attempt", LoadResult{}, "before the first session"},
		{"no session", LoadResult{DialFailures: 3, LastDialError: refused}, "3 attempts failed: last: refused"},
		{"no answer", LoadResult{Dials: 2, Codes: map[string]uint64{"timeout": 2}}, "no request was answered over 2 sessions"},
		{"refusals alone", LoadResult{Dials: 1, Requests: 5, Codes: map[string]uint64{"4.03": 4, "5.03": 1}}, "none of 5 answers was a success"},
		{"one success", LoadResult{Dials: 1, DialFailures: 9, LastDialError: refused, Requests: 5, Codes: map[string]uint64{"2.04": 1, "5.03": 4}}, ""},
	}
	for _, tt := range tests {
		err := tt.r.failure()
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestTargets(t *testing.T) {
	for _, tt := range []struct {
		prefix string
		n      int
		want   string
	}{
		{"192.0.2.0/24", 0, "192.0.2.0/32"},
		{"192.0.2.0/24", 255, "192.0.2.255/32"},
		{"192.0.2.0/24", 256, "192.0.2.0/32"},
		{"198.51.0.0/16", 1000, "198.51.3.232/32"},
		{"192.0.2.7/32", 9, "192.0.2.7/32"},
		{"2001:db8:6401::/48", 70000, "2001:db8:6401::1:1170/128"},
		{"10.0.0.255/8", 300, "10.0.1.44/32"},
	} {
		if got := address(netip.MustParsePrefix(tt.prefix), tt.n); got != netip.MustParsePrefix(tt.want) {
			t.Errorf("address(%s, %d) = %v, want %s", tt.prefix, tt.n, got, tt.want)
		}
	}
}

func TestQuantiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStats()
		if r := s.result(); r.P50 != 0 || r.Elapsed != 0 {
			t.Errorf("of nothing: %+v", r)
		}
		s.dialled(nil)
		for i := range 1000 {
			s.answered("2.04", time.Duration(i+1)*time.Millisecond)
		}
		s.failed(failure(fmt.Errorf("waiting: %w", context.DeadlineExceeded)))
		s.failed(failure(errors.New("gone")))
		s.dialled(errors.New("refused"))
		time.Sleep(2 * time.Second)
		if r := s.result(); r.Elapsed != 2*time.Second {
			t.Errorf("elapsed %v while it goes on", r.Elapsed)
		}
		time.Sleep(2 * time.Second)
		s.end()
		time.Sleep(time.Hour)
		r := s.result()
		near := func(name string, got, want time.Duration) {
			t.Helper()
			if ratio := float64(got) / float64(want); ratio < 0.98 || ratio > 1.02 {
				t.Errorf("%s = %v, want about %v", name, got, want)
			}
		}
		near("p50", r.P50, 500*time.Millisecond)
		near("p99", r.P99, 990*time.Millisecond)
		if r.Max != time.Second || r.Elapsed != 4*time.Second || r.Rate() != 250 || r.Requests != 1000 {
			t.Errorf("result %+v", r)
		}
		text := r.String()
		for _, want := range []string{"1000 requests in 4.0 s: 250 a second\n", "sessions: 1 made, 1 failed\n", "2.04: 1000\nsession: 1\ntimeout: 1\n"} {
			if !strings.Contains(text, want) {
				t.Errorf("%q is not in\n%s", want, text)
			}
		}
	})
}

func TestBuckets(t *testing.T) {
	for _, d := range []time.Duration{0, time.Nanosecond, time.Microsecond, time.Millisecond, time.Second, time.Hour, 1 << 62} {
		b := bucketOf(d)
		if b < 0 || b >= buckets {
			t.Errorf("bucketOf(%v) = %d", d, b)
		}
		if d >= time.Microsecond && d <= time.Hour && (float64(bucketTime(b)) > 1.02*float64(d) || float64(bucketTime(b)) < float64(d)/1.02) {
			t.Errorf("bucket of %v is %v", d, bucketTime(b))
		}
	}
}
