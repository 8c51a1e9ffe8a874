package upstream

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/dotsgate/dotsgate/dots"
)

// voyage is a course in a test, with a clock of its own.
type voyage struct {
	*course
	now    time.Time
	active bool
}

func newVoyage() *voyage {
	v := &voyage{course: &course{home: "home.example"}, now: time.Unix(1e9, 0)}
	v.reach("192.0.2.1")
	return v
}

// reach has a session made where the course leads, at an address.
func (v *voyage) reach(addr string) {
	v.reached(v.now, v.heading(v.now, v.active), netip.MustParseAddr(addr))
}

func (v *voyage) pass(d time.Duration) { v.now = v.now.Add(d) }

// send has the server send us to another one; a negative Max-Age is none.
func (v *voyage) send(maxAge int64, name string, records ...string) bearing {
	age := dots.Maybe[uint32]{}
	if maxAge >= 0 {
		age = dots.Some(uint32(maxAge))
	}
	return v.told(v.now, dots.Redirect{Server: name, Records: records}, age)
}

// state is where we are to be, and whether a session is to be made for it.
func (v *voyage) state() string {
	to, due := v.heading(v.now, v.active), ""
	if v.due(v.now, v.active) {
		due = " now"
	}
	return v.name(to) + due
}

func (v *voyage) is(t *testing.T, want string) {
	t.Helper()
	if d := gocmp.Diff(want, v.state()); d != "" {
		t.Errorf("heading (-want +got):\n%s", d)
	}
}

// RFC 9132, Section 4.6: a redirect holds for its Max-Age; then the provisioned server is gone back to, but not while an attack is active.
func TestCourseGoesAndComesBack(t *testing.T) {
	v := newVoyage()
	v.is(t, "home.example")
	if b := v.send(600, "Other.example.", "192.0.2.2"); b != bearingFollow {
		t.Fatalf("told: %v", b)
	}
	v.is(t, "Other.example. now")
	if b := v.send(600, "other.example", "192.0.2.2"); b != bearingSame {
		t.Errorf("told again: %v", b)
	}
	v.reach("192.0.2.2")
	v.is(t, "Other.example.")
	if at := v.deadline(false); !at.Equal(v.now.Add(600 * time.Second)) {
		t.Errorf("deadline %v", at)
	}
	v.pass(599 * time.Second)
	v.is(t, "Other.example.")
	v.active = true
	v.pass(time.Second)
	v.is(t, "Other.example.")
	if at := v.deadline(true); !at.IsZero() {
		t.Errorf("deadline under attack %v", at)
	}
	v.active = false
	v.is(t, "home.example now")
	v.missed(v.now, v.heading(v.now, false), true, v.now.Add(5*time.Minute))
	v.is(t, "home.example")
	if at := v.deadline(false); !at.Equal(v.now.Add(5 * time.Minute)) {
		t.Errorf("deadline of the next attempt %v", at)
	}
	v.pass(5 * time.Minute)
	v.is(t, "home.example now")
	v.reach("192.0.2.1")
	v.is(t, "home.example")
	if v.at.away() || !v.deadline(false).IsZero() {
		t.Errorf("at %+v", v.at)
	}
}

// RFC 9132, Section 4.6: how long a redirect holds.
func TestCourseTTL(t *testing.T) {
	for _, tt := range []struct {
		maxAge int64
		ttls   []uint32
		want   bearing
		lasts  time.Duration // negative: until the next one
	}{
		{-1, nil, bearingFollow, time.Minute},
		{0, nil, bearingErrand, 0},
		{1, nil, bearingFollow, time.Second},
		{1<<32 - 1, nil, bearingFollow, -1},
		{-1, []uint32{30, 900}, bearingFollow, 15 * time.Minute}, // draft-ietf-dots-signal-channel-04, Section 5.5
	} {
		v := newVoyage()
		age := dots.Maybe[uint32]{Set: tt.maxAge >= 0, Value: uint32(max(tt.maxAge, 0))}
		got := v.told(v.now, dots.Redirect{Server: "other.example", TTLs: tt.ttls}, age)
		if got != tt.want || v.moving != (tt.want == bearingFollow) {
			t.Errorf("Max-Age %d: %v, moving %v", tt.maxAge, got, v.moving)
		}
		if tt.want != bearingFollow {
			continue
		}
		v.reach("192.0.2.2")
		if tt.lasts < 0 {
			v.pass(1000 * time.Hour)
			v.is(t, "other.example")
			continue
		}
		v.pass(tt.lasts - 1)
		v.is(t, "other.example")
		v.pass(1)
		v.is(t, "home.example now")
	}
}

// RFC 9132, Section 4.6: a redirect to a server with which we have communicated within five minutes is ignored.
func TestCourseLoops(t *testing.T) {
	t.Run("to itself", func(t *testing.T) {
		v := newVoyage()
		v.pass(time.Hour)
		if b := v.send(60, "HOME.example"); b != bearingLoop {
			t.Errorf("told: %v", b)
		}
		if b := v.send(60, "home.example", "192.0.2.7", "192.0.2.1"); b != bearingLoop {
			t.Errorf("told with its address: %v", b)
		}
		v.is(t, "home.example")
	})
	t.Run("to another server of the same name", func(t *testing.T) {
		v := newVoyage()
		if b := v.send(60, "home.example", "192.0.2.7"); b != bearingFollow {
			t.Errorf("told: %v", b)
		}
		v.reach("192.0.2.7")
		if b := v.send(60, "home.example", "192.0.2.1"); b != bearingLoop {
			t.Errorf("told back: %v", b)
		}
	})
	t.Run("back, at once and later", func(t *testing.T) {
		v := newVoyage()
		v.send(3600, "other.example")
		v.reach("192.0.2.2")
		v.pass(4 * time.Minute)
		if b := v.send(3600, "home.example"); b != bearingLoop {
			t.Errorf("told after 4 min: %v", b)
		}
		v.pass(time.Minute)
		if b := v.send(3600, "home.example"); b != bearingFollow {
			t.Errorf("told after 5 min: %v", b)
		}
	})
	t.Run("again after its time", func(t *testing.T) {
		v := newVoyage()
		v.send(60, "other.example")
		v.reach("192.0.2.2")
		v.pass(time.Minute)
		v.reach("192.0.2.1")
		if b := v.send(60, "other.example"); b != bearingLoop {
			t.Errorf("told: %v", b)
		}
		v.pass(5 * time.Minute)
		if b := v.send(60, "other.example"); b != bearingFollow {
			t.Errorf("told later: %v", b)
		}
	})
	t.Run("over ever new names", func(t *testing.T) {
		v := newVoyage()
		for i := range maxRedirects {
			if b := v.send(60, fmt.Sprintf("n%d.example", i)); b != bearingFollow {
				t.Fatalf("redirect %d: %v", i, b)
			}
			v.reach("192.0.2.2")
			v.pass(time.Second)
		}
		if b := v.send(60, "last.example"); b != bearingLoop {
			t.Errorf("told: %v", b)
		}
		v.pass(5 * time.Minute)
		if b := v.send(60, "last.example"); b != bearingFollow {
			t.Errorf("told later: %v", b)
		}
		for i := range 100 {
			v.meet(v.now, fmt.Sprint(i), netip.Addr{})
		}
		if len(v.servers) > maxMet {
			t.Errorf("%d servers are remembered", len(v.servers))
		}
	})
	t.Run("to nowhere", func(t *testing.T) {
		v := newVoyage()
		if b := v.send(60, ""); b != bearingLost {
			t.Errorf("told: %v", b)
		}
	})
}

// A server that cannot be reached is not gone to again: what there is stays.
func TestCourseMisses(t *testing.T) {
	v := newVoyage()
	v.send(3600, "other.example")
	v.missed(v.now, v.heading(v.now, false), true, v.now)
	v.is(t, "home.example")
	if b := v.send(3600, "other.example"); b != bearingLoop {
		t.Errorf("told again: %v", b)
	}
	v.send(3600, "third.example")
	v.reach("192.0.2.3")
	v.missed(v.now, v.heading(v.now, false), true, v.now)
	v.is(t, "third.example")
	v.missed(v.now, v.heading(v.now, false), false, v.now) // the session is gone, too
	v.is(t, "home.example")
}
