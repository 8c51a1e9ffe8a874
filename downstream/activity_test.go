package downstream

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
)

// twoSets offers other values while a mitigation is active: a heartbeat each 15 s, 5 retransmissions.
func twoSets(c *Config) {
	c.Session = DefaultSession()
	c.Session.Mitigating.HeartbeatInterval.Current = dots.Some[uint16](15)
	c.Session.Mitigating.MaxRetransmit.Current = dots.Some[uint16](5)
}

// RFC 9132, Section 4.5: mitigating-config holds from the moment at which a mitigation of the client is active to the moment at which none is any more,
// on all its sessions, those that come meanwhile, and nobody else's.
func TestActivitySwitchesSets(t *testing.T) {
	inRig(t, twoSets, func(r *rig) {
		first, other := r.connect("a.example"), r.connect("b.example")
		inForce := func(c *client) (retransmit int, heartbeat time.Duration) {
			p := r.srv.peer(c.served)
			p.mu.Lock()
			defer p.mu.Unlock()
			return c.served.Parameters().MaxRetransmit, p.liveness().Interval
		}
		check := func(when string, c *client, retransmit int, heartbeat time.Duration) {
			t.Helper()
			if n, d := inForce(c); n != retransmit || d != heartbeat {
				t.Errorf("%s: %d retransmissions, a heartbeat each %v; want %d, %v", when, n, d, retransmit, heartbeat)
			}
		}
		check("idle", first, 3, 30*time.Second)
		r.srv.Mitigating("a", true)
		r.srv.Mitigating("a", true) // a level
		second := r.connect("a.example")
		check("active", first, 5, 15*time.Second)
		check("active, a new session", second, 5, 15*time.Second)
		check("active, another client", other, 3, 30*time.Second)
		_ = first.Close()
		r.wait(2 * time.Second) // and its place among them is taken by another
		r.srv.Mitigating("a", false)
		check("idle again", second, 3, 30*time.Second)
		r.srv.Mitigating("nobody", true)
		r.srv.Mitigating("nobody", false)
	})
}

// The heartbeats of a session follow the switch at once.
func TestActivitySwitchesHeartbeats(t *testing.T) {
	inRig(t, twoSets, func(r *rig) {
		c := r.connect("a.example")
		r.wait(6 * time.Second)
		r.srv.Mitigating("a", true)
		r.wait(30 * time.Second) // at 20 s and 35 s
		r.srv.Mitigating("a", false)
		r.wait(30 * time.Second) // at 65 s
		want := []heard{
			beat(5*time.Second, bodyHBTrue), beat(20*time.Second, bodyHBTrue), beat(35*time.Second, bodyHBTrue), beat(65*time.Second, bodyHBTrue),
		}
		if diff := cmp.Diff(want, c.heartbeats(), cmp.AllowUnexported(heard{})); diff != "" {
			t.Error(diff)
		}
	})
}

// What was negotiated for both sets holds in its time, and a client without a session yet gets the right one from its first moment.
func TestActivityNegotiated(t *testing.T) {
	inRig(t, nil, func(r *rig) {
		r.srv.Mitigating("a", true)
		c := r.connect("a.example")
		// max-retransmit: 7 in mitigating-config, 9 in idle-config
		body := "a1181ea2" + "1820a11826a1182407" + "182ca11826a1182409"
		if got := code(c.do(request(putCode, pathConfig+"/sid=1", body))); got != "2.01" {
			t.Fatal(got)
		}
		if got := c.served.Parameters().MaxRetransmit; got != 7 {
			t.Errorf("%d retransmissions while a mitigation is active; want 7", got)
		}
		r.srv.Mitigating("a", false)
		if got := c.served.Parameters().MaxRetransmit; got != 9 {
			t.Errorf("%d retransmissions in idle time; want 9", got)
		}
	})
}

// RFC 9132, Section 4.5.3: whoever observes the configuration is told when other values hold, and only then.
func TestActivityTellsObservers(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Config)
		told   int
	}{
		{"the same values", nil, 0},
		{"other values", twoSets, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inRig(t, tt.change, func(r *rig) {
				c := r.connect("a.example")
				told := 0
				m := with(request(getCode, pathConfig, ""), coap.Observe)
				if _, err := c.Observe(context.Background(), m, func(*coap.Message) { told++ }); err != nil {
					t.Fatal(err)
				}
				r.wait(5 * time.Second)
				begun := told
				r.srv.Mitigating("a", true)
				r.wait(5 * time.Second)
				r.srv.Mitigating("a", false)
				r.wait(5 * time.Second)
				if told-begun != tt.told {
					t.Errorf("told %d times; want %d", told-begun, tt.told)
				}
			})
		})
	}
}

// A session that is of another client now has that one's set.
func TestActivityFollowsIdentity(t *testing.T) {
	inRig(t, twoSets, func(r *rig) {
		c := r.connect("a.example")
		r.srv.Mitigating("b", true)
		r.core.set(func(c *fakeCore) { c.names["a.example"] = "b" })
		r.srv.Reidentify()
		if got := c.served.Parameters().MaxRetransmit; got != 5 {
			t.Errorf("%d retransmissions; want those of the new client", got)
		}
		r.srv.Mitigating("a", true)
		r.srv.Mitigating("b", false)
		if got := c.served.Parameters().MaxRetransmit; got != 3 {
			t.Errorf("%d retransmissions; want 3", got)
		}
	})
}
