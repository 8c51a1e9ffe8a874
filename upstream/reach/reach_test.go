package reach

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/upstream"
)

// The four ways to dots.example.
const (
	udp6 = "[2001:db8::1]:4646 over UDP"
	udp4 = "192.0.2.1:4646 over UDP"
	tcp6 = "[2001:db8::1]:4646 over TCP"
	tcp4 = "192.0.2.1:4646 over TCP"
)

// RFC 9132, Section 4.3: UDP over IPv6, UDP over IPv4, TCP over IPv6, TCP over IPv4, each a little after the one before (RFC 8305, Section 5), and
// sooner under attack.
func TestWaysInTheirOrder(t *testing.T) {
	ms := time.Millisecond
	tests := map[string]struct {
		answers map[string]answer
		urgent  bool
		took    time.Duration
		want    []string // the last is the winner's, unless it says otherwise
		winner  string
	}{
		"the best at once": {map[string]answer{udp6: {after: 120 * ms}}, false, 120 * ms, []string{"0s " + udp6}, udp6},
		"IPv6 is broken": {
			map[string]answer{udp4: {after: 120 * ms}},
			false, 370 * ms,
			[]string{"0s " + udp6, "250ms " + udp4},
			udp4,
		},
		"the first, though slowly": {
			map[string]answer{udp6: {after: 400 * ms}, udp4: {after: 200 * ms}},
			false, 400 * ms,
			[]string{"0s " + udp6, "250ms " + udp4},
			udp6,
		},
		"UDP is blocked": {
			map[string]answer{tcp6: {after: 120 * ms}, tcp4: {after: 120 * ms}},
			false, 620 * ms,
			[]string{"0s " + udp6, "250ms " + udp4, "500ms " + tcp6},
			tcp6,
		},
		"UDP is blocked, and IPv6 is broken": {
			map[string]answer{tcp4: {after: 120 * ms}},
			false, 870 * ms,
			[]string{"0s " + udp6, "250ms " + udp4, "500ms " + tcp6, "750ms " + tcp4},
			tcp4,
		},
		"UDP is blocked under attack": {
			map[string]answer{tcp4: {after: 120 * ms}},
			true, 420 * ms,
			[]string{"0s " + udp6, "100ms " + udp4, "200ms " + tcp6, "300ms " + tcp4},
			tcp4,
		},
		"who fails makes room at once": {
			map[string]answer{udp6: {10 * ms, errRefused}, udp4: {10 * ms, errRefused}, tcp6: {after: 50 * ms}},
			false, 70 * ms,
			[]string{"0s " + udp6, "10ms " + udp4, "20ms " + tcp6},
			tcp6,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			visit(t, nil, func(s *site, r *Reach) {
				s.answers = tt.answers
				got, err := r.Dial(s.t.Context(), upstream.Destination{Urgent: tt.urgent})
				if err != nil {
					t.Fatal(err)
				}
				if took := time.Since(s.start); took != tt.took || took >= time.Second {
					t.Errorf("took %v, want %v", took, tt.took)
				}
				if d := cmp.Diff(tt.want, s.attempts()); d != "" {
					t.Errorf("tried (-want +got):\n%s", d)
				}
				if w := wayOf(got); w != tt.winner {
					t.Errorf("won %s, want %s", w, tt.winner)
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				for _, other := range s.made {
					if other != got && other.Err() == nil {
						t.Errorf("%s is still open", wayOf(other))
					}
				}
				if got.Err() != nil {
					t.Errorf("the winner ended: %v", got.Err())
				}
			})
		})
	}
}

func wayOf(s *coap.Session) string {
	a := s.RemoteAddr().(interface{ AddrPort() netip.AddrPort }).AddrPort()
	return way{a, s.Reliable()}.String()
}

// RFC 9132, Section 4.3: the outcome is remembered for a few minutes, and then forgotten.
func TestWayIsRemembered(t *testing.T) {
	visit(t, nil, func(s *site, r *Reach) {
		s.answers[tcp4] = answer{}
		dial := func(first string) {
			t.Helper()
			s.start = time.Now()
			if _, err := r.Dial(s.t.Context(), upstream.Destination{}); err != nil {
				t.Fatal(err)
			}
			if got := s.attempts()[0]; got != "0s "+first {
				t.Errorf("tried first: %s, want %s", got, first)
			}
		}
		dial(udp6)
		time.Sleep(9 * time.Minute)
		dial(tcp4)
		time.Sleep(9 * time.Minute)
		dial(tcp4) // it was found anew
		time.Sleep(10 * time.Minute)
		dial(udp6)
	})
}

// Where TCP won, what is under way over UDP goes on, and takes its place.
func TestBetterComesLater(t *testing.T) {
	tests := map[string]struct {
		udp    answer
		asked  bool
		better string
		after  time.Duration
	}{
		"a lossy path":            {answer{after: 5 * time.Second}, true, udp4, 5*time.Second + 250*time.Millisecond},
		"nobody asks":             {answer{after: 5 * time.Second}, false, "", 0},
		"it is refused":           {answer{5 * time.Second, errRefused}, true, "", 0},
		"UDP is blocked for good": {answer{after: never}, true, "", 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			visit(t, nil, func(s *site, r *Reach) {
				s.answers[udp4], s.answers[tcp6] = tt.udp, answer{after: time.Millisecond}
				better := make(chan *coap.Session, 4)
				to := upstream.Destination{}
				if tt.asked {
					to.Better = func(s *coap.Session) { better <- s }
				}
				first, err := r.Dial(s.t.Context(), to)
				if err != nil || wayOf(first) != tcp6 {
					t.Fatalf("%v", err)
				}
				select {
				case next := <-better:
					if took := time.Since(s.start); wayOf(next) != tt.better || took != tt.after || next.Err() != nil {
						t.Errorf("better %s after %v, want %s after %v", wayOf(next), took, tt.better, tt.after)
					}
					s.start = time.Now()
					s.attempts()
					if _, err := r.Dial(s.t.Context(), to); err != nil || s.attempts()[0] != "0s "+udp4 {
						t.Errorf("the better way is not remembered")
					}
				case <-time.After(time.Hour):
					if tt.better != "" {
						t.Error("nothing better came")
					}
				}
				if first.Err() != nil || len(better) != 0 {
					t.Errorf("the first session has %v; %d more came", first.Err(), len(better))
				}
			})
		})
	}
}

// A newer attempt ends what goes on of an older one, which then brings nothing.
func TestOneRaceAtATime(t *testing.T) {
	visit(t, nil, func(s *site, r *Reach) {
		s.answers[udp4], s.answers[tcp6] = answer{after: 5 * time.Second}, answer{}
		var came []time.Duration
		to := upstream.Destination{Better: func(*coap.Session) { came = append(came, time.Since(s.start)) }}
		for range 2 {
			if _, err := r.Dial(s.t.Context(), to); err != nil {
				t.Fatal(err)
			}
			time.Sleep(4 * time.Second)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		// The second tries TCP first, which wins before UDP begins.
		if len(came) != 0 {
			t.Errorf("better sessions came at %v", came)
		}
	})
}

// What is known last of a name holds while the DNS is silent.
func TestLastGoodAddresses(t *testing.T) {
	visit(t, nil, func(s *site, r *Reach) {
		s.answers[udp6] = answer{}
		if _, err := r.Dial(s.t.Context(), upstream.Destination{}); err != nil {
			t.Fatal(err)
		}
		s.set(func() { delete(s.names, "dots.example") })
		time.Sleep(1000 * time.Hour)
		if got, err := r.Dial(s.t.Context(), upstream.Destination{}); err != nil || wayOf(got) != udp6 {
			t.Errorf("Dial() = %v", err)
		}
		_, err := r.Dial(s.t.Context(), upstream.Destination{Alternate: dots.Redirect{Server: "unknown.example"}})
		if err == nil || !strings.Contains(err.Error(), "resolving unknown.example") {
			t.Errorf("an unknown name: %v", err)
		}
		for i := range 50 {
			r.keep(strings.Repeat("x", i+1), addrs("192.0.2.1"))
		}
		if _, kept := r.good["dots.example"]; len(r.good) > maxHosts || !kept {
			t.Errorf("%d names are kept, the server's %v", len(r.good), kept)
		}
	})
}

// RFC 9132, Section 4.6: the server that a redirect names is found by its records, without the DNS, and has to prove its name.
func TestAlternate(t *testing.T) {
	for name, tt := range map[string]struct {
		to   dots.Redirect
		want []string
	}{
		"by its records": {
			dots.Redirect{Server: "other.example.", Records: []string{"198.51.100.1", "not an address", "0.0.0.0", "224.0.0.1", "2001:db8::2", "198.51.100.1"}},
			[]string{"0s [2001:db8::2]:4646 over UDP as other.example", "250ms 198.51.100.1:4646 over UDP as other.example", "500ms [2001:db8::2]:443 over TCP as other.example", "750ms 198.51.100.1:443 over TCP as other.example"},
		},
		"by its name": {
			dots.Redirect{Server: "other.example"},
			[]string{"0s 198.51.100.7:4646 over UDP as other.example", "250ms 198.51.100.7:443 over TCP as other.example"},
		},
		"an address": {
			dots.Redirect{Server: "198.51.100.8"},
			[]string{"0s 198.51.100.8:4646 over UDP as 198.51.100.8", "250ms 198.51.100.8:443 over TCP as 198.51.100.8"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			visit(t, func(c *Config) { c.TLSAddress = "tls.example:443" }, func(s *site, r *Reach) {
				s.names["other.example"], s.names["tls.example"] = addrs("198.51.100.7"), addrs("192.0.2.9")
				ctx, cancel := context.WithTimeout(s.t.Context(), 10*time.Second)
				defer cancel()
				if _, err := r.Dial(ctx, upstream.Destination{Alternate: tt.to}); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("Dial() = %v", err)
				}
				if d := cmp.Diff(tt.want, s.attempts()); d != "" {
					t.Errorf("tried (-want +got):\n%s", d)
				}
			})
		})
	}
}

// What the configuration leaves out is not tried.
func TestWaysThatAreUsed(t *testing.T) {
	many := addrs("192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5", "192.0.2.6")
	for name, tt := range map[string]struct {
		change func(*Config)
		to     upstream.Destination
		names  []netip.Addr
		want   []string
	}{
		"DTLS alone":        {func(c *Config) { c.TCP = nil }, upstream.Destination{}, nil, []string{udp6, udp4}},
		"TLS alone":         {func(c *Config) { c.UDP = nil }, upstream.Destination{}, nil, []string{tcp6, tcp4}},
		"a probe of UDP":    {nil, upstream.Destination{OverUDP: true}, nil, []string{udp6, udp4}},
		"from an address":   {func(c *Config) { c.Source = netip.MustParseAddr("192.0.2.99") }, upstream.Destination{}, nil, []string{udp4, tcp4}},
		"an address itself": {func(c *Config) { c.Address = "192.0.2.1:4646" }, upstream.Destination{}, nil, []string{udp4, tcp4}},
		"another for TLS":   {func(c *Config) { c.TLSAddress = "192.0.2.8:443" }, upstream.Destination{}, nil, []string{udp6, udp4, "192.0.2.8:443 over TCP"}},
		"many addresses": {nil, upstream.Destination{}, many, []string{
			udp4, tcp4, "192.0.2.2:4646 over UDP", "192.0.2.2:4646 over TCP", "192.0.2.3:4646 over UDP", "192.0.2.3:4646 over TCP",
			"192.0.2.4:4646 over UDP", "192.0.2.4:4646 over TCP",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			visit(t, tt.change, func(s *site, r *Reach) {
				if tt.names != nil {
					s.names["dots.example"] = tt.names
				}
				ways, err := r.ways(s.t.Context(), tt.to)
				if err != nil {
					t.Fatal(err)
				}
				var got []string
				for _, w := range ways {
					got = append(got, w.String())
				}
				if d := cmp.Diff(tt.want, got); d != "" {
					t.Errorf("ways (-want +got):\n%s", d)
				}
			})
		})
	}
	visit(t, func(c *Config) { c.Address, c.Source = "192.0.2.1:4646", netip.MustParseAddr("2001:db8::9") }, func(s *site, r *Reach) {
		if _, err := r.Dial(s.t.Context(), upstream.Destination{}); err == nil || !strings.Contains(err.Error(), "no address of it can be reached") {
			t.Errorf("Dial() from another family = %v", err)
		}
	})
}

// A server that is being started refuses TCP for a moment. Where UDP is blocked, nobody under attack waits for that longer than a second or two.
func TestRefusedWaysAreTriedAgainUnderAttack(t *testing.T) {
	for name, tt := range map[string]struct {
		urgent bool
		took   time.Duration
		want   []string
	}{
		"under attack": {true, 7200 * time.Millisecond, []string{
			"0s " + udp6, "100ms " + udp4, "200ms " + tcp6, "200ms " + tcp4, "1.2s " + tcp6, "1.2s " + tcp4, "3.2s " + tcp6, "3.2s " + tcp4, "7.2s " + tcp6,
		}},
		"in peace": {false, time.Minute, []string{"0s " + udp6, "250ms " + udp4, "500ms " + tcp6, "500ms " + tcp4}},
	} {
		t.Run(name, func(t *testing.T) {
			visit(t, nil, func(s *site, r *Reach) {
				s.answers[udp6], s.answers[udp4] = answer{time.Minute, errRefused}, answer{time.Minute, errRefused}
				s.answers[tcp6], s.answers[tcp4] = answer{err: errRefused}, answer{err: errRefused}
				time.AfterFunc(5*time.Second, func() { s.set(func() { s.answers[tcp6] = answer{} }) })
				session, err := r.Dial(s.t.Context(), upstream.Destination{Urgent: tt.urgent})
				if (session != nil) != tt.urgent || (err == nil) != tt.urgent {
					t.Fatalf("Dial() = %v, %v", session, err)
				}
				if took := time.Since(s.start).Truncate(time.Second); took != tt.took.Truncate(time.Second) {
					t.Errorf("took %v, want %v", took, tt.took)
				}
				if d := cmp.Diff(tt.want, s.attempts()); d != "" {
					t.Errorf("tried (-want +got):\n%s", d)
				}
			})
		})
	}
}

// What is tried again is no reason to go on when nothing is under way: the caller has its own pauses, and begins with UDP again.
func TestNothingUnderWayIsTheEndUnderAttack(t *testing.T) {
	visit(t, nil, func(s *site, r *Reach) {
		for _, w := range []string{udp6, udp4, tcp6, tcp4} {
			s.answers[w] = answer{err: errRefused}
		}
		s.answers[udp6] = answer{1500 * time.Millisecond, errRefused}
		_, err := r.Dial(s.t.Context(), upstream.Destination{Urgent: true})
		if !errors.Is(err, errRefused) || err.Error() != "refused; refused; refused; refused" || time.Since(s.start) != 1500*time.Millisecond {
			t.Errorf("Dial() = %v after %v", err, time.Since(s.start))
		}
	})
}

func TestDialFails(t *testing.T) {
	t.Run("on every way", func(t *testing.T) {
		visit(t, nil, func(s *site, r *Reach) {
			for i, w := range []string{udp6, udp4, tcp6, tcp4} {
				s.answers[w] = answer{time.Duration(i) * time.Second, errRefused}
			}
			_, err := r.Dial(s.t.Context(), upstream.Destination{})
			if !errors.Is(err, errRefused) || err.Error() != "refused; refused; refused; refused" {
				t.Errorf("Dial() = %v", err)
			}
		})
	})
	t.Run("as its context ends", func(t *testing.T) {
		visit(t, nil, func(s *site, r *Reach) {
			ctx, cancel := context.WithTimeout(s.t.Context(), 3*time.Second)
			defer cancel()
			if _, err := r.Dial(ctx, upstream.Destination{}); !errors.Is(err, context.DeadlineExceeded) || time.Since(s.start) != 3*time.Second {
				t.Errorf("Dial() = %v", err)
			}
		})
	})
	t.Run("when nothing runs any more", func(t *testing.T) {
		var r *Reach
		visit(t, nil, func(s *site, at *Reach) {
			r = at
			s.answers[udp4], s.answers[tcp6] = answer{after: time.Hour}, answer{}
			if _, err := r.Dial(s.t.Context(), upstream.Destination{Better: func(*coap.Session) { t.Error("better after the end") }}); err != nil {
				t.Error(err)
			}
		})
		if _, err := r.Dial(t.Context(), upstream.Destination{}); !errors.Is(err, coap.ErrClosed) {
			t.Errorf("Dial() = %v", err)
		}
	})
}

func TestNewErrors(t *testing.T) {
	d := dialer{}
	for name, cfg := range map[string]Config{
		"no transport":   {Address: "a:1"},
		"no port":        {Address: "a", UDP: d},
		"no host":        {Address: ":1", UDP: d},
		"port 0":         {Address: "a:0", UDP: d},
		"a bad TLS port": {Address: "a:1", TLSAddress: "a:x", UDP: d},
	} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: New() = nil", name)
		}
	}
	r, err := New(Config{Address: "localhost:1", UDP: d})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := r.cfg.Lookup(t.Context(), "localhost"); err != nil || !slices.ContainsFunc(got, netip.Addr.IsLoopback) {
		t.Errorf("the system's lookup: %v, %v", got, err)
	}
}
