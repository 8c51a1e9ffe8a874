package downstream

import (
	"encoding/hex"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/wire"
	"github.com/dotsgate/dotsgate/wire/draft04"
	"github.com/dotsgate/dotsgate/wire/rfc9132"
)

// shared is a config of a node with an anycast listener.
func shared(c *Config) {
	c.Profiles = []wire.Profile{rfc9132.New(), draft04.New()}
	c.Unicast = []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("::ffff:192.0.2.2")}
	c.UnicastName = "node1.example"
}

// A cdid is kept on the server domain's side from a trusted gateway, and from nobody on the clients' side.
// RFC 9132, Section 4.4.1.2.
func TestCDIDBySide(t *testing.T) {
	path := strings.Replace(pathMID1, "mitigate/", "mitigate/cdid=d1/", 1)
	for _, tt := range []struct {
		name   string
		client string
		from   Listener
		want   string
	}{
		{"gateway, server domain", "gw.example", Listener{}, "d1"},
		{"gateway, client domain", "gw.example", Listener{ClientDomain: true}, ""},
		{"client, server domain", "a.example", Listener{}, ""},
		{"client, client domain", "a.example", Listener{ClientDomain: true}, ""},
	} {
		inRig(t, nil, func(r *rig) {
			c := r.join(clientConfig{name: tt.client, from: tt.from, handler: answerChanged})
			if got := code(c.do(request(putCode, path, bodyPut))); got != "2.01" {
				t.Errorf("%s: %s", tt.name, got)
			}
			if got := r.core.lastAsk().Client.CDID; got != tt.want {
				t.Errorf("%s: PUT for cdid %q, want %q", tt.name, got, tt.want)
			}
			c.do(request(getCode, path, ""))
			c.do(request(deleteCode, path, ""))
			if got := r.core.asked[0].Client.CDID; got != tt.want {
				t.Errorf("%s: GET for cdid %q, want %q", tt.name, got, tt.want)
			}
			if got := r.core.withdrawn[0].Client.CDID; got != tt.want {
				t.Errorf("%s: DELETE for cdid %q, want %q", tt.name, got, tt.want)
			}
		})
	}
}

// An anycast listener sends everybody on, whatever is asked, and hands nothing to the core. RFC 8811, Section 3.2.4.
func TestAnycastRedirects(t *testing.T) {
	inRig(t, shared, func(r *rig) {
		for _, tcp := range []bool{false, true} {
			c := r.join(clientConfig{name: "a.example", tcp: tcp, from: Listener{Anycast: true}, handler: answerChanged})
			const put = "a1181ea1182ca11821a11824183c"
			for name, m := range map[string]*coap.Message{
				"PUT":            request(putCode, pathMID1, bodyPut),
				"efficacy":       with(request(putCode, pathMID1, bodyEfficacy), coap.IfMatch),
				"GET":            request(getCode, pathMID1, ""),
				"observation":    with(request(getCode, pathAll, ""), coap.Observe),
				"DELETE":         request(deleteCode, pathMID1, ""),
				"PUT of config":  request(putCode, pathConfig+"/sid=1", put),
				"GET of config":  with(request(getCode, pathConfig, ""), coap.Observe),
				"DELETE of it":   request(deleteCode, pathConfig+"/sid=1", ""),
				"in a late hop":  with(request(putCode, pathMID1, bodyPut), coap.HopLimit, 1),
				"behind another": request(putCode, strings.Replace(pathMID1, "mitigate/", "mitigate/cdid=d1/", 1), bodyPut),
			} {
				got := c.do(m)
				if code(got) != "5.03" || got.Options.Has(coap.Observe) {
					t.Errorf("%s: %s; want 5.03 with a body and no observation", name, code(got))
					continue
				}
				resp, err := rfc9132.New().DecodeResponse(wire.Request{Op: wire.PutMitigation}, wire.CoAPResponse{
					Code: dots.Code(got.Code), Payload: got.Payload, Format: dots.Some[uint16](271),
				})
				// RFC 9132, Section 4.6: the name to check, and where it is.
				want := []string{"192.0.2.1", "2001:db8::1", "192.0.2.2"}
				if err != nil || !resp.Redirect.Set || resp.Redirect.Value.Server != "node1.example" || !slices.Equal(resp.Redirect.Value.Records, want) {
					t.Errorf("%s: %x reads as %+v, %v", name, got.Payload, resp.Redirect, err)
				}
				if age, ok := got.Options.Uint(coap.MaxAge); !ok || age != 3600 {
					t.Errorf("%s: Max-Age %d, %v; want an hour", name, age, ok)
				}
			}
		}
		if n := r.core.calls(); n != 0 {
			t.Errorf("the core was asked %d times", n)
		}
		if n := r.srv.watchers.count("a"); n != 0 {
			t.Errorf("%d observers", n)
		}
		for _, s := range r.srv.Sessions() {
			if s.Negotiated {
				t.Error("a configuration was negotiated")
			}
		}
	})
}

// The older dialect has a code of its own for it.
func TestAnycastRedirectsOlderDialect(t *testing.T) {
	inRig(t, shared, func(r *rig) {
		c := r.join(clientConfig{name: "a.example", from: Listener{Anycast: true, Profiles: []string{"draft04"}}})
		got := c.do(older(putCode, pathSignal, bodyOlderPut))
		if got == nil || got.Code != coap.Code(dots.CodeAlternateServer) {
			t.Fatalf("answered %v; want 3.00", code(got))
		}
		for _, want := range []string{"node1.example", "192.0.2.1", "2001:db8::1"} {
			if !strings.Contains(hex.EncodeToString(got.Payload), hex.EncodeToString([]byte(want))) {
				t.Errorf("%q is not in %x", want, got.Payload)
			}
		}
		if n := r.core.calls(); n != 0 {
			t.Errorf("the core was asked %d times", n)
		}
	})
}

// Heartbeats are answered there: the client may keep the session for the next redirect. Whoever is not configured is told nothing.
func TestAnycastHeartbeats(t *testing.T) {
	inRig(t, shared, func(r *rig) {
		c := r.join(clientConfig{name: "a.example", from: Listener{Anycast: true}, handler: answerChanged})
		if got := code(c.do(request(putCode, pathHB, bodyHBTrue))); got != "2.04" {
			t.Errorf("heartbeat: %s", got)
		}
		stranger := r.join(clientConfig{name: "x.example", from: Listener{Anycast: true}})
		if got := code(stranger.do(request(putCode, pathMID1, bodyPut))); got != "4.01 unknown client" {
			t.Errorf("a stranger's PUT: %s", got)
		}
		if got := code(c.do(request(putCode, pathAll, bodyPut))); !strings.HasPrefix(got, "4.00") {
			t.Errorf("a PUT without a mid: %s", got)
		}
	})
}

// A session with the shared address is none of the client's: neither its coming nor its loss is told to the core, which would
// fire what is armed though the client is served by another node.
func TestAnycastIsNoPresence(t *testing.T) {
	inRig(t, shared, func(r *rig) {
		c := r.join(clientConfig{name: "a.example", from: Listener{Anycast: true}, handler: answerChanged})
		c.mute(true)
		r.wait(time.Hour)
		if r.meter.lost != 1 {
			t.Fatalf("%d sessions lost; want 1", r.meter.lost)
		}
		if err := r.join(clientConfig{name: "b.example", from: Listener{Anycast: true}}).served.Close(); err != nil {
			t.Fatal(err)
		}
		r.wait(time.Minute)
		if got := r.core.presences(); len(got) != 0 {
			t.Errorf("the core was told %q", got)
		}
		// A session with our own address counts beside it.
		mine := r.connect("a.example")
		r.join(clientConfig{name: "a.example", from: Listener{Anycast: true}, handler: answerChanged})
		mine.mute(true)
		r.wait(time.Hour)
		if got := r.core.presences(); !slices.Equal(got, []string{"back a", "lost a"}) {
			t.Errorf("the core was told %q", got)
		}
	})
}

// Without an address to send to there is no such session.
func TestAnycastNeedsUnicast(t *testing.T) {
	inRig(t, nil, func(r *rig) {
		c := r.connect("a.example")
		if err := r.srv.Attach(c.served, Listener{Anycast: true}); !errors.Is(err, ErrNoUnicast) {
			t.Errorf("Attach() = %v", err)
		}
	})
}

// Without a name of its own the node's id is the name.
func TestAnycastName(t *testing.T) {
	got := unicast(Config{NodeID: "gate-1.example", Unicast: []netip.Addr{netip.MustParseAddr("192.0.2.1")}})
	if got.Server != "gate-1.example" || !slices.Equal(got.Records, []string{"192.0.2.1"}) {
		t.Errorf("got %+v", got)
	}
}

// The bound of one client entry goes before the general one, upwards and downwards; what is refused is counted.
func TestObserverLimitOfClient(t *testing.T) {
	limits := map[string]int{"a": 1, "b": 3, "gw": 0}
	inRig(t, func(c *Config) {
		c.MaxObserversPerClient = 2
		c.MaxObservers = func(client string) int { return limits[client] }
	}, func(r *rig) {
		r.core.report(status(dots.StatusMitigated))
		for name, want := range map[string]int{"a.example": 1, "b.example": 3, "gw.example": 2} {
			c := r.connect(name)
			began := 0
			for _, mid := range []string{"1", "2", "3", "4"} {
				got := c.do(with(request(getCode, pathAll+"/mid="+mid, ""), coap.Observe))
				if code(got) != "2.05" {
					t.Errorf("%s: %s; want 2.05", name, code(got))
				}
				if got.Options.Has(coap.Observe) {
					began++
				}
			}
			if began != want {
				t.Errorf("%s has %d observations; want %d", name, began, want)
			}
		}
		if r.meter.refused != 12-6 || r.meter.observers != 6 {
			t.Errorf("%d refused, %d open; want 6 and 6", r.meter.refused, r.meter.observers)
		}
	})
}
