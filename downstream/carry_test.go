package downstream

import (
	"bytes"
	"encoding/gob"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dotsgate/dotsgate/wire"
	"github.com/dotsgate/dotsgate/wire/draft04"
	"github.com/dotsgate/dotsgate/wire/rfc9132"
)

// throughBytes is what another process gets of what is carried over.
func throughBytes(t *testing.T, c Carried) (got Carried) {
	t.Helper()
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(c); err != nil {
		t.Fatal(err)
	}
	if err := gob.NewDecoder(&b).Decode(&got); err != nil {
		t.Fatal(err)
	}
	return got
}

// A session that goes on in another Server has its age, its dialect, its negotiated parameters and its client.
func TestResume(t *testing.T) {
	inRig(t, nil, func(r *rig) {
		negotiated, plain := r.connect("a.example"), r.connect("b.example")
		negotiated.do(request(putCode, pathConfig+"/sid=9", putIdle("a11821a11824183c")))
		r.wait(time.Minute)
		want := r.srv.Sessions()
		core := newFakeCore()
		next, err := New(Config{
			Core: core, Profiles: []wire.Profile{rfc9132.New(), draft04.New()}, NodeID: "gate-1", Random: func() float64 { return 0 },
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []*client{negotiated, plain} {
			carried, ok := r.srv.Carry(c.served)
			if !ok {
				t.Fatal("an attached session is not known")
			}
			if err := next.Resume(c.served, Listener{Profiles: []string{"draft04", "rfc9132"}}, throughBytes(t, carried)); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(want, next.Sessions()); diff != "" {
			t.Errorf("sessions differ (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"back a", "back b"}, core.presences()); diff != "" {
			t.Error(diff)
		}
		p, old := next.peer(negotiated.served), r.srv.peer(negotiated.served)
		if diff := cmp.Diff(old.config.current, p.config.current); diff != "" {
			t.Error(diff)
		}
		if !p.monitor.Next().Equal(old.monitor.Next()) {
			t.Errorf("the next heartbeat is at %v, want %v", p.monitor.Next(), old.monitor.Next())
		}
	})
}

// What nobody knows is not carried over; a dialect that is not spoken any more is left, and so is a session that is over.
func TestResumeNot(t *testing.T) {
	inRig(t, nil, func(r *rig) {
		c := r.connect("a.example")
		carried, _ := r.srv.Carry(c.served)
		carried.Profile = "draft04"
		other, err := New(Config{Core: newFakeCore(), Profiles: []wire.Profile{rfc9132.New()}, NodeID: "gate-1"})
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := other.Carry(c.served); ok {
			t.Error("a strange session is carried over")
		}
		if err := other.Resume(c.served, Listener{}, carried); err != nil {
			t.Fatal(err)
		}
		if got := other.Sessions()[0].Profile; got != "rfc9132" {
			t.Errorf("it speaks %s", got)
		}
		_ = c.served.Close()
		if err := other.Resume(c.served, Listener{}, carried); err == nil {
			t.Error("a session that is over goes on")
		}
	})
}

// What is known of a client that its session does not tell goes over too: it was sent elsewhere for an hour, or a session of it has gone a moment ago. Else it
// would be lost with the session that is left.
func TestResumeSpares(t *testing.T) {
	for _, tt := range []struct {
		name string
		play func(*rig, *client)
		gone string
		span time.Duration // that the core is told
	}{
		{"nothing", func(*rig, *client) {}, "lost a", 450 * time.Second},
		{"sent elsewhere", func(r *rig, c *client) {
			r.redirect(nil)
			c.do(request(putCode, pathMID1, bodyPut))
		}, "gone a 1h7m30s", time.Hour + 450*time.Second},
		{"closed a session", func(r *rig, _ *client) {
			other := r.connect("a.example")
			other.do(request(putCode, pathConfig+"/sid=1", putIdle("a11821a1182418f0"))) // 240 s: an hour
			_ = other.Close()
			r.wait(2 * time.Second)
		}, "gone a 59m59s", 450 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inRig(t, nil, func(r *rig) {
				c := r.join(clientConfig{name: "a.example", tcp: true, handler: answerChanged})
				tt.play(r, c)
				core := newFakeCore()
				cfg := r.srv.cfg
				cfg.Core = core
				next, err := New(cfg)
				if err != nil {
					t.Fatal(err)
				}
				carried, _ := r.srv.Carry(c.served)
				if err := next.Resume(c.served, Listener{}, throughBytes(t, carried)); err != nil {
					t.Fatal(err)
				}
				next.lost(next.peer(c.served))
				if got := core.presences(); got[len(got)-1] != tt.gone || core.spans[len(core.spans)-1] != tt.span {
					t.Errorf("%q, %v; want %q, %v at the end", got, core.spans, tt.gone, tt.span)
				}
			})
		})
	}
}
