package upstream

import (
	"net/netip"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire/draft04"
)

func overDraft04(c *Config) { c.Links[0].Profile = draft04.New() }

// The older dialect has ids in bodies, no cuid, and CoAP pings for heartbeats.
func TestOverDraft04(t *testing.T) {
	virtual(t, overDraft04, func(w *world) {
		w.run()
		host := leg(1, 1)
		host.Request.Target.Prefixes = []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}
		w.want(host)
		w.takeAsked("PUT 1", "OBSERVE0 ")
		w.sleep(59 * time.Second)
		if heard := w.clients[0].LastHeard().Sub(w.start); heard != 30*time.Second {
			t.Errorf("last heard at %v, want the ping's answer at 30 s", heard)
		}
		host.Withdraw, host.Revision = true, 2
		w.want(host)
		w.takeAsked("DELETE 1", "GET 1")
		w.events.take(t, "0s up a", "0s PUT 1 r1: 2.01 for 3600", "0s a/c all 1=1", "59s DELETE 1 r2: 2.02", "59s a/c 1=5")
	})
}

func TestASilentServerOverDraft04(t *testing.T) {
	virtual(t, func(c *Config) { overDraft04(c); c.MissingAllowed = 3 }, func(w *world) {
		w.run()
		w.set(func() { w.deaf = true })
		w.sleep(121 * time.Second)
		w.events.take(t, "0s up a", "2m0s down a: heartbeats unanswered and nothing heard", "2m0s up a")
	})
}

// What cannot be said in the uplink's dialect is as good as refused, and nothing is sent.
func TestWhatCannotBeSaidIsRefused(t *testing.T) {
	virtual(t, overDraft04, func(w *world) {
		w.run()
		wide := leg(1, 1)
		wide.Request.Target.Prefixes = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
		var got dots.LegAnswer
		w.events.answered = func(a dots.LegAnswer) { got = a }
		w.want(wide)
		w.takeAsked("OBSERVE0 ")
		if got.Code.Class() < 4 || got.Revision != 1 || got.Key != wide.Key || got.Text == "" {
			t.Fatalf("told %+v", got)
		}
	})
}
