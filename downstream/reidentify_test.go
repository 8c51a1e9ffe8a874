package downstream

import (
	"slices"
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
