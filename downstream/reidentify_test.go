package downstream

import (
	"errors"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/dotsgate/dotsgate/internal/coap"
)

// TestReidentify holds that after a change of the configuration the sessions of whoever is gone end, without taking them as lost (RFC 9132,
// Section 4.7: only missed heartbeats are that), and that those of the others go on.
func TestReidentify(t *testing.T) {
	inRig(t, nil, func(r *rig) {
		stays, goes, moves, stranger := r.connect("a.example"), r.connect("b.example"), r.connect("gw.example"), r.connect("x.example")
		r.core.mu.Lock()
		delete(r.core.names, "b.example")
		r.core.names["gw.example"], r.core.names["x.example"] = "other", "new"
		r.core.mu.Unlock()
		r.srv.Reidentify()
		r.wait(0)
		for name, tt := range map[string]struct {
			c     *client
			ended bool
		}{"the one that stays": {stays, false}, "the one that goes": {goes, true}, "the one that moves": {moves, false}, "the stranger": {stranger, false}} {
			select {
			case <-tt.c.served.Done():
				if !tt.ended {
					t.Errorf("%s: its session ended: %v", name, tt.c.served.Err())
				}
			default:
				if tt.ended {
					t.Errorf("%s: its session lives", name)
				}
			}
		}
		var clients []string
		for _, s := range r.srv.Sessions() {
			clients = append(clients, s.Client)
		}
		slices.Sort(clients)
		if want := []string{"a", "new", "other"}; !slices.Equal(clients, want) {
			t.Errorf("sessions of %v, want %v", clients, want)
		}
		r.core.mu.Lock()
		defer r.core.mu.Unlock()
		if slices.ContainsFunc(r.core.presence, func(s string) bool { return s[:4] == "lost" }) {
			t.Errorf("somebody counts as lost: %v", r.core.presence)
		}
		if !slices.Contains(r.core.presence, "back new") || !slices.Contains(r.core.presence, "back other") {
			t.Errorf("the core is not told who is there: %v", r.core.presence)
		}
	})
}

// TestReidentifyNobody holds that without a change nothing happens.
func TestReidentifyNobody(t *testing.T) {
	inRig(t, nil, func(r *rig) {
		c := r.connect("a.example")
		r.srv.Reidentify()
		if resp := c.do(request(coap.GET, "/.well-known/dots/mitigate/cuid=c1", "")); resp == nil {
			t.Error("the session does not answer any more")
		}
	})
}

// TestDistrust ends the sessions, and no others, of those whose credentials are no longer believed, counts them, and takes no new one of theirs.
//
// RFC 9132, Section 8: only those are served who are authenticated.
func TestDistrust(t *testing.T) {
	var revoked atomic.Value
	revoked.Store("")
	revocation := errors.New("revoked")
	change := func(c *Config) {
		c.Believed = func(id coap.Identity) error {
			if len(id.Names) > 0 && id.Names[0] == revoked.Load() {
				return revocation
			}
			return nil
		}
	}
	inRig(t, change, func(r *rig) {
		stays, goes, stranger := r.connect("a.example"), r.connect("b.example"), r.connect("x.example")
		r.srv.Reidentify()
		for _, name := range []string{"b.example", "x.example"} {
			revoked.Store(name)
			r.srv.Reidentify()
		}
		r.wait(0)
		for name, c := range map[string]*client{"the revoked": goes, "a revoked stranger": stranger} {
			select {
			case <-c.served.Done():
			default:
				t.Errorf("%s: its session lives", name)
			}
		}
		if resp := stays.do(request(coap.GET, "/.well-known/dots/mitigate/cuid=c1", "")); resp == nil {
			t.Error("the other's session does not answer any more")
		}
		late, err := coap.NewSession(coap.SessionConfig{
			Link: newMemoryLink(false), Timers: r.timers, Handler: r.srv, Peer: coap.Identity{Names: []string{"x.example"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := r.srv.Attach(late, Listener{}); !errors.Is(err, revocation) {
			t.Errorf("a new session of a revoked one: Attach() = %v", err)
		}
		r.meter.mu.Lock()
		defer r.meter.mu.Unlock()
		if r.meter.disowned != 3 || r.meter.lost != 0 || r.meter.up-r.meter.down != 1 {
			t.Errorf("%d disowned, %d lost, %d up, %d down", r.meter.disowned, r.meter.lost, r.meter.up, r.meter.down)
		}
	})
}
