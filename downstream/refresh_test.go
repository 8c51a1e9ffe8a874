package downstream

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// ending lets the server end sessions whose configuration is not refreshed for five minutes.
func ending(c *Config) { c.EndUnrefreshed, c.SessionMaxAge = true, 300 }

// stale is when such a session ends, after its client was told its configuration.
const stale = 5*time.Minute + refreshGrace

// RFC 9132, Section 4.5.3: a server may end the session of a client that does not refresh what it negotiated; ours does where that is configured, and
// never while a mitigation is active.
func TestUnrefreshed(t *testing.T) {
	const sixty = "a11821a11824183c"
	for _, tt := range []struct {
		name   string
		change func(*Config)
		play   func(*rig, *client)
		ends   bool
	}{
		{"never refreshed", ending, func(r *rig, _ *client) { r.wait(stale + time.Second) }, true},
		{"not a moment earlier", ending, func(r *rig, _ *client) { r.wait(stale - time.Second) }, false},
		{"not where it is not configured", nil, func(r *rig, _ *client) { r.wait(3 * time.Hour) }, false},
		{"refreshed", ending, func(r *rig, c *client) {
			for range 20 {
				r.wait(299 * time.Second)
				c.do(request(getCode, pathConfig+"/sid=1", ""))
			}
		}, false},
		{"negotiated anew", ending, func(r *rig, c *client) {
			r.wait(299 * time.Second)
			c.do(request(putCode, pathConfig+"/sid=2", putIdle(sixty)))
			r.wait(stale - time.Second)
		}, false},
		{"refused refreshes are none", ending, func(r *rig, c *client) {
			for range 4 {
				r.wait(99 * time.Second)
				c.do(request(getCode, pathConfig+"/sid=77", ""))
			}
		}, true},
		{"back at the defaults", ending, func(r *rig, c *client) {
			c.do(request(deleteCode, pathConfig+"/sid=1", ""))
			r.wait(time.Hour)
		}, false},
		{"during an attack", ending, func(r *rig, _ *client) {
			r.wait(200 * time.Second)
			r.srv.Mitigating("a", true)
			r.wait(2 * time.Hour)
		}, false},
		{"a while after an attack", ending, func(r *rig, _ *client) {
			r.srv.Mitigating("a", true)
			r.wait(2 * time.Hour)
			r.srv.Mitigating("a", false)
			r.wait(stale - time.Second)
		}, false},
		{"long after an attack", ending, func(r *rig, _ *client) {
			r.srv.Mitigating("a", true)
			r.wait(2 * time.Hour)
			r.srv.Mitigating("a", false)
			r.wait(stale + time.Second)
		}, true},
		{"for ever", func(c *Config) { c.EndUnrefreshed, c.SessionMaxAge = true, infiniteAge }, func(r *rig, _ *client) { r.wait(3 * time.Hour) }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inRig(t, tt.change, func(r *rig) {
				c := r.connect("a.example")
				if got := code(c.do(request(putCode, pathConfig+"/sid=1", putIdle(sixty)))); got != "2.01" {
					t.Fatal(got)
				}
				tt.play(r, c)
				if got := len(r.srv.Sessions()) == 0; got != tt.ends {
					t.Errorf("ended: %v; want %v", got, tt.ends)
				}
			})
		})
	}
}

// A session that is ended so loses its client only when that does not come back.
func TestUnrefreshedIsNotLost(t *testing.T) {
	inRig(t, ending, func(r *rig) {
		c := r.connect("a.example")
		c.do(request(putCode, pathConfig+"/sid=1", putIdle("a11821a11824183c"))) // 60 s, 15 times
		r.wait(time.Hour)
		if diff := cmp.Diff([]string{"back a", "back a", "gone a 15m0s"}, r.core.presences()); diff != "" {
			t.Error(diff)
		}
	})
}
