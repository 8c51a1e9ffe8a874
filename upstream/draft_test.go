package upstream

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
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

// An armed request can be said of a whole session only in the older dialect. It is refused, once, and never sent as one
// that starts now; the link and the other legs go on.
func TestAnArmedLegIsNeverSentAsAnImmediateOne(t *testing.T) {
	virtual(t, overDraft04, func(w *world) {
		w.run()
		host := []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}
		armed, other := leg(1, 1), leg(2, 1)
		armed.Request.OnSignalLoss, armed.Request.Target.Prefixes = true, host
		other.Request.Target.Prefixes = []netip.Prefix{netip.MustParsePrefix("192.0.2.2/32")}
		w.want(armed, other)
		w.takeAsked("PUT 2", "OBSERVE0 ")
		w.events.take(t, "0s up a", "0s PUT 1 r1: 4.00 trigger-mitigation: only for a whole session",
			"0s PUT 2 r1: 2.01 for 3600", "0s a/c all 2=1")
		w.sleep(30 * time.Minute)
		w.set(func() { w.asked = nil })
		w.clients[0].InputClosed(errors.New("cable cut"))
		synctest.Wait()
		w.takeAsked("PUT 2", "OBSERVE0 ")
		if told := w.events.drain("PUT 1"); len(told) != 0 {
			t.Errorf("told again: %v", told)
		}
		// Fired, it is another revision and goes out at once.
		armed.Request.OnSignalLoss, armed.Revision = false, 2
		w.want(armed)
		w.takeAsked("PUT 1")
	})
}

// What fails for another reason than a rule of the dialect is a refusal all the same: asking again would not help.
func TestWhatCannotBeEncodedIsRefusedOnce(t *testing.T) {
	virtual(t, overDraft04, func(w *world) {
		w.run()
		far := leg(1<<31, 1)
		far.Request.Target.Prefixes = []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}
		w.want(far)
		far.Withdraw, far.Revision = true, 2
		w.want(far)
		w.sleep(30 * time.Minute)
		want := []string{
			"PUT 2147483648 r1: 4.00 cannot be said to the uplink", "DELETE 2147483648 r2: 4.00 cannot be said to the uplink",
		}
		if got := w.events.drain("2147483648"); !slices.Equal(got, want) || len(w.clients) != 1 {
			t.Errorf("told %q over %d sessions; want %q over one", got, len(w.clients), want)
		}
	})
}
