package downstream

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/wire"
	"github.com/dotsgate/dotsgate/wire/draft04"
	"github.com/dotsgate/dotsgate/wire/rfc9132"
)

// there is where redirections of the tests lead.
func there() Redirection {
	return Redirection{To: dots.Redirect{Server: "other.example", Records: []string{"192.0.2.9", "2001:db8::9"}}, TTL: time.Hour}
}

// redirect puts a redirection in force.
func (r *rig) redirect(change func(*Redirection)) {
	r.t.Helper()
	to := there()
	if change != nil {
		change(&to)
	}
	if err := r.srv.Redirect(to); err != nil {
		r.t.Fatal(err)
	}
}

// sentTo reads an answer: where it sends and for how long; empty: it does not.
func sentTo(t *testing.T, m *coap.Message) (server string, age uint32) {
	t.Helper()
	if m == nil || m.Code != coap.Code(dots.CodeUnavailable) || !m.Options.Has(coap.ContentFormat) {
		return "", 0
	}
	resp, err := rfc9132.New().DecodeResponse(wire.Request{Op: wire.PutMitigation}, wire.CoAPResponse{
		Code: dots.Code(m.Code), Payload: m.Payload, Format: dots.Some[uint16](271),
	})
	if err != nil {
		t.Fatal(err)
	}
	age, _ = m.Options.Uint(coap.MaxAge)
	return resp.Redirect.Value.Server, age
}

// RFC 9132, Section 4.6: whatever is asked is answered with the alternate server and for how long it holds; but heartbeats and withdrawals are answered here.
func TestRedirectByCommand(t *testing.T) {
	inRig(t, nil, func(r *rig) {
		c := r.connect("a.example")
		r.redirect(nil)
		for name, m := range map[string]*coap.Message{
			"PUT":              request(putCode, pathMID1, bodyPut),
			"GET":              request(getCode, pathMID1, ""),
			"observation":      with(request(getCode, pathAll, ""), coap.Observe),
			"GET of config":    request(getCode, pathConfig, ""),
			"DELETE of config": request(deleteCode, pathConfig, ""),
		} {
			got := c.do(m)
			if server, age := sentTo(t, got); server != "other.example" || age != 3600 || got.Options.Has(coap.Observe) {
				t.Errorf("%s: %s, to %q for %d s", name, code(got), server, age)
			}
		}
		if n := r.core.calls(); n != 0 {
			t.Errorf("the core was asked %d times", n)
		}
		if got := code(c.do(request(putCode, pathHB, bodyHBTrue))); got != "2.04" {
			t.Errorf("heartbeat: %s", got)
		}
		if got := code(c.do(request(deleteCode, pathMID1, ""))); got != "2.02" || len(r.core.withdrawn) != 1 {
			t.Errorf("withdrawal: %s", got)
		}
		if !r.srv.Undirect("", "") || r.srv.Undirect("", "") || len(r.srv.Redirections()) != 0 {
			t.Error("it cannot be taken back, once")
		}
		if got := code(c.do(request(putCode, pathMID1, bodyPut))); got != "2.01" {
			t.Errorf("after it was taken back: %s", got)
		}
	})
}

// A client's own goes before its domain's, and that before everybody's; nobody else is sent anywhere.
func TestRedirectScopes(t *testing.T) {
	domain := func(c *Config) {
		c.DomainOf = func(client string) string { return map[string]string{"a": "d1", "b": "d1", "gw": "d2"}[client] }
	}
	inRig(t, domain, func(r *rig) {
		clients := map[string]*client{"a": r.connect("a.example"), "b": r.connect("b.example"), "gw": r.connect("gw.example")}
		check := func(when string, want map[string]string) {
			t.Helper()
			for name, c := range clients {
				if server, _ := sentTo(t, c.do(request(getCode, pathConfig, ""))); server != want[name] {
					t.Errorf("%s: %s is sent to %q; want %q", when, name, server, want[name])
				}
			}
		}
		check("at first", nil)
		r.redirect(func(to *Redirection) { to.Client, to.To.Server = "a", "a.other.example" })
		check("one client's", map[string]string{"a": "a.other.example"})
		r.redirect(func(to *Redirection) { to.Domain, to.To.Server = "d1", "d.other.example" })
		check("a domain's", map[string]string{"a": "a.other.example", "b": "d.other.example"})
		r.redirect(nil)
		check("everybody's", map[string]string{"a": "a.other.example", "b": "d.other.example", "gw": "other.example"})
		r.srv.Undirect("a", "")
		r.srv.Undirect("", "d1")
		check("the narrow ones are over", map[string]string{"a": "other.example", "b": "other.example", "gw": "other.example"})
	})
}

// RFC 8612, SIG-005: nobody is sent away while an attack on it is being mitigated; it is told when that is over.
func TestRedirectIsPutOff(t *testing.T) {
	inRig(t, nil, func(r *rig) {
		c := r.connect("a.example")
		r.core.report(status(dots.StatusMitigated))
		r.srv.Mitigating("a", true)
		w := c.observe(pathMID1)
		r.redirect(nil)
		r.wait(5 * time.Second)
		for _, m := range []*coap.Message{request(putCode, pathMID1, bodyPut), request(getCode, pathConfig, "")} {
			if server, _ := sentTo(t, c.do(m)); server != "" {
				t.Fatal("sent away in the middle of an attack")
			}
		}
		w.expect("0 2.05 2")
		r.srv.Mitigating("a", false)
		r.wait(3 * time.Second)
		w.expect("0 2.05 2", "5 5.03")
		if server, _ := sentTo(t, c.do(request(getCode, pathConfig, ""))); server != "other.example" {
			t.Error("not sent away after it")
		}
		if n := r.srv.watchers.count("a"); n != 0 {
			t.Errorf("%d observations are left", n)
		}
	})
}

// RFC 9132, Section 4.6: who observes something is told in a notification, which is the last.
func TestRedirectNotifies(t *testing.T) {
	inRig(t, nil, func(r *rig) {
		r.core.report(status(dots.StatusMitigated))
		a, b := r.connect("a.example"), r.connect("b.example")
		mitigation, config, others := a.observe(pathMID1), a.observe(pathConfig), b.observe(pathMID1)
		r.wait(10 * time.Second)
		r.redirect(func(to *Redirection) { to.Client = "a" })
		r.wait(30 * time.Second)
		mitigation.expect("0 2.05 2", "10 5.03")
		others.expect("0 2.05 2")
		if got := config.sofar(); len(got) != 2 || got[1] != "10.005 5.03" {
			t.Errorf("who observes the configuration was told %q", got)
		}
	})
}

// The older dialect has a code of its own for it, with the time at each address.
func TestRedirectOlderDialect(t *testing.T) {
	inRig(t, func(c *Config) { c.Profiles = []wire.Profile{rfc9132.New(), draft04.New()} }, func(r *rig) {
		c := r.join(clientConfig{name: "a.example", from: Listener{Profiles: []string{"draft04"}}})
		r.redirect(nil)
		got := c.do(older(putCode, pathSignal, bodyOlderPut))
		if got == nil || got.Code != coap.Code(dots.CodeAlternateServer) || !strings.Contains(string(got.Payload), "other.example") {
			t.Fatalf("answered %v; want 3.00", code(got))
		}
	})
}

// Whoever keeps asking here is served here: the other server may have sent it back. When its time is over it is told again.
func TestRedirectIsNotFollowed(t *testing.T) {
	inRig(t, nil, func(r *rig) {
		c := r.connect("a.example")
		r.redirect(nil)
		sent := func() bool {
			server, _ := sentTo(t, c.do(request(putCode, pathMID1, bodyPut)))
			return server != ""
		}
		for i := range 3 {
			for range 5 { // repeats within seconds are one
				if !sent() {
					t.Fatalf("served too early, at time %d", i)
				}
			}
			r.wait(redirectGap)
		}
		for range 10 {
			if sent() {
				t.Fatal("still sent away")
			}
			r.wait(5 * time.Minute)
		}
		r.wait(30 * time.Minute)
		if !sent() {
			t.Error("not told again later")
		}
	})
}

// A client that went where it was told is not lost: its silence begins to count when it is due back. That holds over a restart of ours, too, since the core
// is told. One that does not follow is watched as before.
func TestRedirectedIsNotLost(t *testing.T) {
	const due, usual = time.Hour + 450*time.Second, 450 * time.Second
	for _, tt := range []struct {
		name  string
		play  func(*rig, *client)
		gone  string
		spans []time.Duration
	}{
		{"told and closed", func(_ *rig, c *client) { _ = c.Close() }, "gone a 1h7m29s", []time.Duration{usual, due}},
		{"told and silent", func(_ *rig, c *client) { c.mute(true) }, "gone a 1h0m0s", []time.Duration{usual, due}},
		{"told and still there", func(r *rig, c *client) {
			for range 12 {
				r.wait(redirectGap)
				c.do(request(getCode, pathConfig, ""))
			}
			_ = c.Close()
		}, "gone a 7m30s", []time.Duration{usual, due, usual}},
		{"told, and served here since it was taken back", func(r *rig, c *client) {
			r.srv.Undirect("", "")
			c.do(request(getCode, pathConfig, ""))
			c.mute(true)
		}, "lost a", []time.Duration{usual, due, usual}},
		{"told, and served here under attack", func(r *rig, c *client) {
			r.srv.Mitigating("a", true)
			c.do(request(putCode, pathMID1, bodyPut))
			r.srv.Mitigating("a", false)
			c.mute(true)
		}, "lost a", []time.Duration{usual, due, usual}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inRig(t, nil, func(r *rig) {
				c := r.connect("a.example")
				r.redirect(nil)
				c.do(request(putCode, pathMID1, bodyPut))
				tt.play(r, c)
				r.wait(450 * time.Second)
				got := r.core.presences()
				if last := got[len(got)-1]; last != tt.gone {
					t.Errorf("%q; want %q", got, tt.gone)
				}
				if diff := cmp.Diff(tt.spans, r.core.spans); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

// What cannot be told to clients is refused, and the table is bounded.
func TestRedirectRefused(t *testing.T) {
	inRig(t, func(c *Config) { c.Unicast = []netip.Addr{netip.MustParseAddr("2001:db8::1")} }, func(r *rig) {
		for name, change := range map[string]func(*Redirection){
			"no name":            func(to *Redirection) { to.To.Server = "" },
			"an address as name": func(to *Redirection) { to.To.Server = "192.0.2.1" },
			"ourselves":          func(to *Redirection) { to.To.Server = "gate-1" },
			"ourselves, louder":  func(to *Redirection) { to.To.Server = "GATE-1." },
			"our address":        func(to *Redirection) { to.To.Records[1] = "2001:DB8::0:1" },
			"no address":         func(to *Redirection) { to.To.Records = []string{"other.example"} },
			"many addresses":     func(to *Redirection) { to.To.Records = slices.Repeat([]string{"192.0.2.1"}, 9) },
			"a negative time":    func(to *Redirection) { to.TTL = -time.Second },
			"a broken time":      func(to *Redirection) { to.TTL = time.Millisecond },
			"for ever":           func(to *Redirection) { to.TTL = MaxRedirectTTL + time.Second },
			"both":               func(to *Redirection) { to.Client, to.Domain = "a", "d1" },
		} {
			to := there()
			change(&to)
			if err := r.srv.Redirect(to); err == nil {
				t.Errorf("%s: taken", name)
			}
		}
		for i := range maxRedirections {
			r.redirect(func(to *Redirection) { to.Client = fmt.Sprint("client", i) })
		}
		to := there()
		if err := r.srv.Redirect(to); err == nil || len(r.srv.Redirections()) != maxRedirections {
			t.Error("the table is not bounded")
		}
		to.Client, to.TTL = "client7", 0
		if err := r.srv.Redirect(to); err != nil {
			t.Errorf("one that is there cannot be changed: %v", err)
		}
	})
}

// crowded is a listener that serves two sessions and sends others on.
func crowded() Listener {
	return Listener{Overflow: NewOverflow(2, dots.Redirect{Server: "spare.example", Records: []string{"192.0.2.7"}})}
}

// A listener that is full sends whoever comes to another server, for a short time and without counting its session; a session that ends makes room.
func TestOverflow(t *testing.T) {
	from := crowded()
	inRig(t, nil, func(r *rig) {
		join := func(name string) *client {
			return r.join(clientConfig{name: name, from: from, handler: answerChanged})
		}
		first, second, third := join("a.example"), join("a.example"), join("b.example")
		put := func(c *client) *coap.Message { return c.do(request(putCode, pathMID1, bodyPut)) }
		if code(put(first)) != "2.01" || code(put(second)) != "2.01" {
			t.Error("those for whom there is room are not served")
		}
		got := put(third)
		if server, age := sentTo(t, got); server != "spare.example" || age != 600 {
			t.Errorf("%s: to %q for %d s", code(got), server, age)
		}
		if diff := cmp.Diff([]string{"back a", "back a", "gone b 18m30s"}, r.core.presences()); diff != "" {
			t.Error(diff)
		}
		stranger := join("x.example")
		if got := code(put(stranger)); got != "4.01 unknown client" {
			t.Errorf("a stranger: %s", got)
		}
		r.wait(overflowStays + 2*time.Second)
		if n := len(r.srv.Sessions()); n != 2 {
			t.Errorf("%d sessions; want the two that are served", n)
		}
		_ = first.Close()
		r.wait(2 * time.Second)
		if got := code(put(join("b.example"))); got != "2.01" {
			t.Errorf("where there is room again: %s", got)
		}
	})
}

// RFC 8612, SIG-005: a client under attack is served though there is no room; and so is what another process has begun.
func TestOverflowServes(t *testing.T) {
	from := crowded()
	inRig(t, nil, func(r *rig) {
		old := r.connect("b.example")
		carried, _ := r.srv.Carry(old.served)
		for range 2 {
			r.join(clientConfig{name: "b.example", from: from})
		}
		r.srv.Mitigating("a", true)
		c := r.join(clientConfig{name: "a.example", from: from})
		if got := code(c.do(request(putCode, pathMID1, bodyPut))); got != "2.01" {
			t.Errorf("a client under attack: %s", got)
		}
		next, err := New(r.srv.cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := next.Resume(old.served, from, carried); err != nil || next.peer(old.served).elsewhere.Set {
			t.Errorf("a session of another process is sent on: %v", err)
		}
		if n := from.Overflow.served.Load(); n != 4 {
			t.Errorf("%d are counted; want 4", n)
		}
	})
}

// A client that finds no room and is sent elsewhere is not lost meanwhile, be it that its time runs out before it may be back: we have sent it, and it lives.
// One that has a session beside the one that is sent on has the longer time, too.
func TestOverflowLosesNobody(t *testing.T) {
	from := crowded()
	inRig(t, nil, func(r *rig) {
		for range 2 {
			r.join(clientConfig{name: "gw.example", from: from})
		}
		c, beside := r.connect("a.example"), r.connect("b.example")
		_ = c.Close()
		r.wait(7 * time.Minute)
		for _, name := range []string{"a.example", "b.example"} {
			sent := r.join(clientConfig{name: name, from: from})
			if server, _ := sentTo(t, sent.do(request(putCode, pathMID1, bodyPut))); server != "spare.example" {
				t.Fatal("there is room")
			}
			_ = sent.Close()
		}
		beside.mute(true)
		r.wait(8 * time.Minute)
		want := []string{"back gw", "back gw", "back a", "back b", "gone a 7m30s", "gone a 18m30s", "gone b 11m25s"}
		if diff := cmp.Diff(want, r.core.presences()); diff != "" {
			t.Error(diff)
		}
	})
}

// duringIdentify does something while the server side finds out who a peer is.
type duringIdentify struct {
	*fakeCore
	do func()
}

func (c duringIdentify) Identify(cred dots.Credential) (string, bool) {
	c.do()
	return c.fakeCore.Identify(cred)
}

// A session that ends while it is being attached is counted no longer than that.
func TestOverflowOfAnEndingSession(t *testing.T) {
	from := crowded()
	during := func() {}
	inRig(t, func(c *Config) { c.Core = duringIdentify{c.Core.(*fakeCore), func() { during() }} }, func(r *rig) {
		sess, err := coap.NewSession(coap.SessionConfig{
			Link: newMemoryLink(false), Timers: r.timers, Handler: r.srv, Limits: SessionLimits(), Peer: coap.Identity{Names: []string{"a.example"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		during = func() {
			_ = sess.Close()
			r.srv.sweep()
		}
		_ = r.srv.Attach(sess, from)
		during = func() {}
		r.wait(2 * time.Second)
		if n := from.Overflow.served.Load(); n != 0 || len(r.srv.Sessions()) != 0 {
			t.Errorf("%d are counted, %d sessions; want none", n, len(r.srv.Sessions()))
		}
	})
}
