package downstream

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/carry"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/wire"
	"github.com/dotsgate/dotsgate/wire/rfc9132"
)

// countingProfile counts what is read, and what is written.
type countingProfile struct {
	wire.Profile
	name          string
	read, written int
}

func (p *countingProfile) Name() string { return p.name }

func (p *countingProfile) DecodeRequest(m wire.CoAPRequest) (wire.Request, error) {
	p.read++
	return p.Profile.DecodeRequest(m)
}

func (p *countingProfile) EncodeResponse(req wire.Request, resp wire.Response) (wire.CoAPResponse, error) {
	p.written++
	return p.Profile.EncodeResponse(req, resp)
}

// said is a PUT as a client says it.
func said(t *testing.T, cuid string, mid uint32, prefixes ...string) wire.CoAPRequest {
	t.Helper()
	body := dots.Request{MID: mid, Lifetime: dots.Some(dots.DefaultLifetime)}
	for _, p := range prefixes {
		body.Target.Prefixes = append(body.Target.Prefixes, netip.MustParsePrefix(p))
	}
	m, err := rfc9132.New().EncodeRequest(wire.Request{Op: wire.PutMitigation, CUID: cuid, MID: dots.Some(mid), Mitigation: body})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestRepeats sends requests several times: what is the same is read once and its answer written once, and both mean the same each time.
func TestRepeats(t *testing.T) {
	first := said(t, "c1", 1, "192.0.2.1/32")
	efficacy, limited := first, first
	efficacy.IfMatch = true
	limited.HopLimit = dots.Some[uint32](0)
	for _, tt := range []struct {
		name string
		m    wire.CoAPRequest
		want int // times that it is read, of three
		asks int
	}{
		{"a mitigation", first, 1, 3},
		{"a GET", wire.CoAPRequest{Method: wire.GET, Path: first.Path}, 3, 0},
		{"another path", wire.CoAPRequest{Method: wire.PUT, Path: []string{"elsewhere"}}, 0, 0},
		{"a heartbeat", wire.CoAPRequest{
			Method: wire.PUT, Path: []string{".well-known", "dots", "hb"}, Format: first.Format, Payload: []byte{0xa1, 0x18, 0x31, 0xa1, 0x18, 0x33, 0xf5},
		}, 3, 0},
		{"refused: no attack-status", efficacy, 3, 0},
		{"refused: Hop-Limit", limited, 0, 0},
		{"refused: no body", wire.CoAPRequest{Method: wire.PUT, Path: first.Path}, 3, 0},
		{"large", said(t, "c1", 1, manyPrefixes(40)...), 3, 3},
		{"in blocks", said(t, "c1", 1, manyPrefixes(100)...), 3, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			profile := &countingProfile{Profile: rfc9132.New(), name: "a"}
			inRig(t, func(cfg *Config) { cfg.Profiles = []wire.Profile{profile} }, func(r *rig) {
				c := r.connect("a.example")
				answer := c.do(carry.RequestMessage(tt.m, carry.NON))
				for range 2 {
					if diff := cmp.Diff(answer, c.do(carry.RequestMessage(tt.m, carry.NON))); diff != "" {
						t.Errorf("another answer (-first +repeated):\n%s", diff)
					}
				}
				if profile.read != tt.want {
					t.Errorf("read %d times, want %d", profile.read, tt.want)
				}
				r.core.mu.Lock()
				defer r.core.mu.Unlock()
				if len(r.core.asks) != tt.asks {
					t.Errorf("the core was asked %d times, want %d", len(r.core.asks), tt.asks)
				}
				for _, ask := range r.core.asks {
					if diff := cmp.Diff(r.core.asks[0], ask, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
						t.Errorf("asked another thing (-first +repeated):\n%s", diff)
					}
				}
			})
		})
	}
}

// The same bytes are what their sender and the core's answer make of them: who asks is told apart, and another answer is written anew.
func TestRepeatsOfOthers(t *testing.T) {
	profile := &countingProfile{Profile: rfc9132.New(), name: "a"}
	inRig(t, func(cfg *Config) { cfg.Profiles = []wire.Profile{profile} }, func(r *rig) {
		m := carry.RequestMessage(said(t, "c1", 1, "192.0.2.1/32"), carry.NON)
		put := func(c *client, want coap.Code) { c.r.t.Helper(); wantCode(t, c.do(m), want) }
		a, b, stranger := r.connect("a.example"), r.connect("b.example"), r.connect("x.example")
		put(a, coap.Created)
		put(b, coap.Created)
		put(stranger, coap.Unauthorized)
		wantWritten := func(want int) {
			t.Helper()
			if profile.written != want {
				t.Errorf("%d answers were written, want %d", profile.written, want)
			}
		}
		wantWritten(2) // one of them the stranger's
		r.core.mu.Lock()
		if r.core.asks[0].Client.Name != "a" || r.core.asks[1].Client.Name != "b" {
			t.Errorf("asked by %v and %v", r.core.asks[0].Client, r.core.asks[1].Client)
		}
		r.core.answer = dots.Answer{Code: dots.CodeChanged, MID: 1, Lifetime: 60}
		r.core.mu.Unlock()
		put(a, coap.Changed)
		put(a, coap.Changed)
		wantWritten(3)
		r.core.mu.Lock()
		r.core.answer.Conflict = dots.Some(dots.Conflict{Status: dots.ConflictOtherActive, RetryTimer: 9})
		r.core.mu.Unlock()
		put(a, coap.Changed)
		wantWritten(4)
		r.core.mu.Lock()
		r.core.err = dots.Refuse(dots.CodeUnavailable, "busy")
		r.core.mu.Unlock()
		put(a, coap.ServiceUnavailable)
	})
}

// wantCode asserts an answer's code.
func wantCode(t *testing.T, m *coap.Message, want coap.Code) {
	t.Helper()
	if m.Code != want {
		t.Errorf("answered %v, want %v", m.Code, want)
	}
}

// TestRepeatsProfiles: what one dialect reads is not what another one reads, if a peer speaks that alone.
func TestRepeatsProfiles(t *testing.T) {
	a, b := &countingProfile{Profile: rfc9132.New(), name: "a"}, &countingProfile{Profile: rfc9132.New(), name: "b"}
	inRig(t, func(cfg *Config) { cfg.Profiles = []wire.Profile{a, b} }, func(r *rig) {
		m := carry.RequestMessage(said(t, "c1", 1, "192.0.2.1/32"), carry.NON)
		first := r.join(clientConfig{name: "a.example", from: Listener{Profiles: []string{"a"}}})
		second := r.join(clientConfig{name: "a.example", from: Listener{Profiles: []string{"b"}}})
		first.do(m)
		first.do(m)
		second.do(m)
		second.do(m)
		if a.read != 1 || b.read == 0 {
			t.Errorf("read %d and %d times, want once and at least once", a.read, b.read)
		}
	})
}

func manyPrefixes(n int) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprintf("192.0.2.%d/32", i))
	}
	return list
}

// TestRepeatsBounded: however many are read, no more are kept than there is room for, and the newest is.
func TestRepeatsBounded(t *testing.T) {
	r, p := newRepeats(), rfc9132.New()
	const many = 5 * repeatSets
	raw := make([]byte, 100)
	for n := range many {
		copy(raw, fmt.Appendf(nil, "%08d", n))
		known := r.keep(raw, nil, p, &wire.Request{Op: wire.PutMitigation, MID: dots.Some(uint32(n))})
		if found := r.find(bytes.Clone(raw)); found == nil || found != known || found.meant.MID.Value != uint32(n) {
			t.Fatalf("the newest, %d, is not found", n)
		}
	}
	kept := 0
	for i := range r.sets {
		for j := range r.sets[i] {
			if r.sets[i][j].Load() != nil {
				kept++
			}
		}
	}
	if kept < repeatSets || kept > 2*repeatSets {
		t.Errorf("%d are kept, want most of %d", kept, 2*repeatSets)
	}
	for _, raw := range [][]byte{nil, {}, make([]byte, repeatSize+1)} {
		if r.keep(raw, nil, p, &wire.Request{Op: wire.PutMitigation}) != nil || r.find(raw) != nil {
			t.Errorf("a request of %d bytes is kept", len(raw))
		}
	}
	if r.keep(make([]byte, 50), nil, p, &wire.Request{Op: wire.PutHeartbeat}) != nil {
		t.Error("a heartbeat is kept")
	}
}
