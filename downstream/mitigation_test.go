package downstream

import (
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
)

const (
	getCode    = coap.GET
	putCode    = coap.PUT
	deleteCode = coap.DELETE

	pathHB     = "/.well-known/dots/hb"
	pathConfig = "/.well-known/dots/config"
	pathAll    = "/.well-known/dots/mitigate/cuid=c1"
	pathMID1   = pathAll + "/mid=1"

	bodyHBTrue  = "a11831a11833f5"
	bodyHBFalse = "a11831a11833f4"
	// {1: {2: [{6: ["198.51.100.1/32"], 14: 3600}]}}
	bodyPut = "a101a10281a206816f3139382e35312e3130302e312f33320e190e10"
	// the same with 29: 1, without a lifetime
	bodyEfficacy = "a101a10281a206816f3139382e35312e3130302e312f3332181d01"
)

var target = dots.Target{Prefixes: []netip.Prefix{netip.MustParsePrefix("198.51.100.1/32")}}

// RFC 9132, Section 4.4.1.3, Section 4.4.3 and Section 4.4.4: what the core says, as the client is told it.
func TestMitigationAnswers(t *testing.T) {
	refuse := func(code dots.Code, text string) error { return dots.Refuse(code, text) }
	conflict := dots.Conflict{Status: dots.ConflictOtherActive, Cause: dots.CauseOverlappingTargets, RetryTimer: 120}
	tests := []struct {
		name    string
		request *coap.Message
		answer  dots.Answer
		err     error
		want    string
		payload string // hex
	}{
		{
			"created", request(putCode, pathMID1, bodyPut),
			dots.Answer{Code: dots.CodeCreated, MID: 1, Lifetime: 1800},
			nil,
			"2.01", "a101a10281a205010e190708",
		},
		{
			"refreshed", request(putCode, pathMID1, bodyPut),
			dots.Answer{Code: dots.CodeChanged, MID: 1, Lifetime: -1},
			nil,
			"2.04", "a101a10281a205010e20",
		},
		{
			"created beside a conflict", request(putCode, pathMID1, bodyPut),
			dots.Answer{Code: dots.CodeCreated, MID: 1, Lifetime: 1800, Conflict: dots.Some(conflict)},
			nil,
			"2.01", "a101a10281a305010e19070811a312011301141878",
		},
		{"bad request", request(putCode, pathMID1, bodyPut), dots.Answer{}, refuse(dots.CodeBadRequest, "not yours"), "4.00 not yours", ""},
		{"not entitled", request(putCode, pathMID1, bodyPut), dots.Answer{}, refuse(dots.CodeUnauthorized, ""), "4.01 not authorised", ""},
		{
			"conflict", request(putCode, pathMID1, bodyPut),
			dots.Answer{},
			&dots.Error{Code: dots.CodeConflict, Conflict: dots.Some(conflict)},
			"4.09", "a101a10281a2050111a312011301141878",
		},
		{
			"cuid collision", request(putCode, pathMID1, bodyPut),
			dots.Answer{},
			&dots.Error{Code: dots.CodeConflict, Conflict: dots.Some(dots.Conflict{Cause: dots.CauseCUIDCollision})},
			"4.09", "a101a10281a111a11303",
		},
		{"unavailable", request(putCode, pathMID1, bodyPut), dots.Answer{}, refuse(dots.CodeUnavailable, "busy"), "5.03 busy", ""},
		{"loop further on", request(putCode, pathMID1, bodyPut), dots.Answer{}, refuse(dots.CodeLoop, "gate-1 far"), "5.08 gate-1 far", ""},
		{"no refusal", request(putCode, pathMID1, bodyPut), dots.Answer{}, plainError("secret"), "5.00 internal error", ""},
		{
			"efficacy", with(request(putCode, pathMID1, bodyEfficacy), coap.IfMatch),
			dots.Answer{Code: dots.CodeChanged, MID: 1, Lifetime: 1800},
			nil, "2.04", "a101a10281a205010e190708",
		},
		{
			"efficacy of an unknown mid", with(request(putCode, pathMID1, bodyEfficacy), coap.IfMatch),
			dots.Answer{Code: dots.CodeSilent},
			nil, "silence", "",
		},
		{"withdrawn", request(deleteCode, pathMID1, ""), dots.Answer{}, nil, "2.02", ""},
		{"withdrawal fails", request(deleteCode, pathMID1, ""), dots.Answer{}, refuse(dots.CodeUnavailable, "disk"), "5.03 disk", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, confirmable := range []bool{false, true} {
				inRig(t, nil, func(r *rig) {
					r.core.set(func(c *fakeCore) { c.answer, c.err = tt.answer, tt.err })
					c := r.connect("a.example")
					m := tt.request.Clone()
					m.NonConfirmable = !confirmable
					got := c.do(m)
					if code(got) != tt.want {
						t.Fatalf("confirmable %v: %s; want %s", confirmable, code(got), tt.want)
					}
					if got == nil {
						return
					}
					if got.NonConfirmable == confirmable {
						t.Errorf("confirmable %v: answered NON %v", confirmable, got.NonConfirmable)
					}
					if tt.payload != "" {
						if diff := cmp.Diff(unhex(tt.payload), got.Payload); diff != "" {
							t.Errorf("payload: %s", diff)
						}
					} else if got.Code.Success() && len(got.Payload) > 0 {
						t.Errorf("payload %x; want none", got.Payload)
					}
				})
			}
		})
	}
}

type plainError string

func (e plainError) Error() string { return string(e) }

// RFC 9132, Section 4.4.1.3: a 5.03 tells in Max-Age when to try again.
func TestUnavailableCarriesMaxAge(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  *dots.Error
		want uint32
	}{
		{"told", &dots.Error{Code: dots.CodeUnavailable, MaxAge: 90 * time.Second}, 90},
		{"rounded up", &dots.Error{Code: dots.CodeUnavailable, MaxAge: 1500 * time.Millisecond}, 2},
		{"not told", &dots.Error{Code: dots.CodeUnavailable}, 30},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inRig(t, nil, func(r *rig) {
				r.core.set(func(c *fakeCore) { c.err = tt.err })
				got := r.connect("a.example").do(request(putCode, pathMID1, bodyPut))
				if age, ok := got.Options.Uint(coap.MaxAge); !ok || age != tt.want {
					t.Errorf("Max-Age %d, %v; want %d", age, ok, tt.want)
				}
			})
		})
	}
}

// RFC 9132, Section 4.6: a redirection is a 5.03 with a body.
func TestRedirect(t *testing.T) {
	inRig(t, nil, func(r *rig) {
		r.core.set(func(c *fakeCore) {
			c.err = &dots.Error{
				Code: dots.CodeUnavailable, MaxAge: time.Hour,
				Redirect: dots.Some(dots.Redirect{Server: "alt.example", Records: []string{"2001:db8::1"}}),
			}
		})
		got := r.connect("a.example").do(request(putCode, pathMID1, bodyPut))
		age, _ := got.Options.Uint(coap.MaxAge)
		want := "a1182ea2182f6b616c742e6578616d706c651830816b323030313a6462383a3a31"
		if code(got) != "5.03" || age != 3600 || string(got.Payload) != string(unhex(want)) {
			t.Errorf("%s, Max-Age %d, %x; want 5.03, 3600, %s", code(got), age, got.Payload, want)
		}
	})
}

// What the core is asked: identity, hops, and what came in the body.
func TestAsk(t *testing.T) {
	base := dots.Ask{
		Client: dots.Client{Name: "a", CUID: "c1"}, HopLimit: 15,
		// RFC 9132, Section 4.4.1.1: what the credential gives, whichever cuid the client goes by.
		OwnCUID: dots.Credential{SPKI: []byte("key of a.example")}.CUID(),
		Request: dots.Request{MID: 1, Target: target, Lifetime: dots.Some[dots.Lifetime](3600)},
	}
	change := func(f func(*dots.Ask)) dots.Ask { a := base; f(&a); return a }
	cdid := strings.Replace(pathMID1, "mitigate/", "mitigate/cdid=d1/", 1)
	tests := []struct {
		name    string
		peer    string
		request *coap.Message
		want    dots.Ask
	}{
		{"plain", "a.example", request(putCode, pathMID1, bodyPut), base},
		// RFC 8768, Section 3: one less than received.
		{
			"Hop-Limit", "a.example", with(request(putCode, pathMID1, bodyPut), coap.HopLimit, 9),
			change(func(a *dots.Ask) { a.HopLimit = 8 }),
		},
		{
			"greatest Hop-Limit", "a.example", with(request(putCode, pathMID1, bodyPut), coap.HopLimit, 255),
			change(func(a *dots.Ask) { a.HopLimit = 254 }),
		},
		// RFC 9132, Section 4.4.1.2: a cdid is ignored unless a trusted gateway supplies it.
		{"cdid of a client", "a.example", request(putCode, cdid, bodyPut), base},
		{
			"cdid of a trusted gateway", "gw.example", request(putCode, cdid, bodyPut),
			change(func(a *dots.Ask) {
				a.Client.Name, a.Client.CDID = "gw", "d1"
				a.OwnCUID = dots.Credential{SPKI: []byte("key of gw.example")}.CUID()
			}),
		},
		{
			"efficacy", "a.example", with(request(putCode, pathMID1, bodyEfficacy), coap.IfMatch),
			change(func(a *dots.Ask) {
				a.Efficacy, a.Request.Attack, a.Request.Lifetime = true, dots.AttackUnderAttack, dots.Maybe[dots.Lifetime]{}
			}),
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inRig(t, nil, func(r *rig) {
				if got := code(r.connect(tt.peer).do(tt.request)); got != "2.01" {
					t.Fatalf("answer %s; want 2.01", got)
				}
				if diff := cmp.Diff(tt.want, r.core.lastAsk(), cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

// RFC 8768, Section 4: what may not go one hop further is answered 5.08 with our identifier, and the core never hears
// of it. What is not forwarded, GET, config and heartbeats, does not end in 5.08.
func TestHopLimitReached(t *testing.T) {
	one := func(m *coap.Message) *coap.Message { return with(m, coap.HopLimit, 1) }
	tests := []struct {
		name    string
		request *coap.Message
		want    string
		asked   int // of the core
	}{
		{"PUT", one(request(putCode, pathMID1, bodyPut)), "5.08 gate-1", 0},
		{"efficacy", one(with(request(putCode, pathMID1, bodyEfficacy), coap.IfMatch)), "5.08 gate-1", 0},
		{"DELETE", one(request(deleteCode, pathMID1, "")), "5.08 gate-1", 0},
		{"GET", one(request(getCode, pathAll, "")), "4.04 no such mitigation", 1},
		{"config", one(request(getCode, pathConfig, "")), "2.05", 0},
		{"heartbeat", one(request(putCode, pathHB, bodyHBTrue)), "2.04", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inRig(t, nil, func(r *rig) {
				if got := code(r.connect("a.example").do(tt.request)); got != tt.want {
					t.Errorf("%s; want %s", got, tt.want)
				}
				if got := r.core.calls(); got != tt.asked {
					t.Errorf("the core was asked %d times; want %d", got, tt.asked)
				}
			})
		})
	}
}

// RFC 9132, Section 4.4.2: one, all, none, and the c query.
func TestGet(t *testing.T) {
	report := dots.Report{MID: 1, Target: target, Lifetime: 1794, Start: dots.Some[uint64](7), Status: dots.StatusMitigated}
	const full = "a101a10281a5050106816f3139382e35312e3130302e312f33320e1907020f071002"
	tests := []struct {
		name    string
		path    string
		query   string
		none    bool
		want    string
		payload string
		key     dots.MitigationKey
	}{
		{"all", pathAll, "", false, "2.05", full, dots.MitigationKey{Client: dots.Client{Name: "a", CUID: "c1"}}},
		{"one", pathMID1, "", false, "2.05", full, dots.MitigationKey{Client: dots.Client{Name: "a", CUID: "c1"}, MID: 1}},
		{"none", pathAll, "", true, "4.04 not found", "", dots.MitigationKey{Client: dots.Client{Name: "a", CUID: "c1"}}},
		{
			"everything but the configuration", pathMID1, "c=n", false, "2.05", "a101a10281a405010e1907020f071002",
			dots.MitigationKey{Client: dots.Client{Name: "a", CUID: "c1"}, MID: 1},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inRig(t, nil, func(r *rig) {
				r.core.report(report)
				if tt.none {
					r.core.fail(dots.CodeNotFound)
				}
				m := request(getCode, tt.path, "")
				if tt.query != "" {
					m.Options.AddString(coap.UriQuery, tt.query)
				}
				got := r.connect("a.example").do(m)
				if code(got) != tt.want {
					t.Fatalf("%s; want %s", code(got), tt.want)
				}
				if tt.payload != "" && !cmp.Equal(got.Payload, unhex(tt.payload)) {
					t.Errorf("payload %x; want %s", got.Payload, tt.payload)
				}
				if diff := cmp.Diff([]dots.MitigationKey{tt.key}, r.core.asked); diff != "" {
					t.Error(diff)
				}
				if got.Options.Has(coap.Observe) {
					t.Error("an Observe option in the answer to a plain GET")
				}
			})
		})
	}
}

// An answer may come after its session is gone: nothing happens then. One that comes while it lives reaches it, and
// other requests are not held up meanwhile.
func TestLateAnswer(t *testing.T) {
	inRig(t, nil, func(r *rig) {
		r.core.set(func(c *fakeCore) { c.hold = true })
		a, b := r.connect("a.example"), r.connect("b.example")
		answers := make(chan string, 2)
		for _, c := range []*client{a, b} {
			go func() { answers <- code(c.ask(request(putCode, pathMID1, bodyPut))) }()
		}
		synctest.Wait()
		if got := code(a.do(request(putCode, pathHB, bodyHBTrue))); got != "2.04" {
			t.Errorf("heartbeat beside a pending PUT: %s", got)
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		if got := <-answers; got != "silence" {
			t.Errorf("closed session: %s", got)
		}
		r.wait(time.Second) // the Server forgets the session
		r.core.set(func(c *fakeCore) {
			for _, done := range c.held {
				done(dots.Answer{Code: dots.CodeCreated, MID: 1, Lifetime: 60}, nil)
			}
		})
		if got := <-answers; got != "2.01" {
			t.Errorf("live session: %s; want 2.01", got)
		}
	})
}

// Nothing of one client is visible to another: each reaches what stands under its own name.
func TestClientsAreSeparate(t *testing.T) {
	inRig(t, nil, func(r *rig) {
		for _, name := range []string{"a", "b"} {
			c := r.connect(name + ".example")
			c.do(request(putCode, pathMID1, bodyPut))
			c.do(request(deleteCode, pathMID1, ""))
			c.do(request(getCode, pathAll, ""))
			want := dots.Client{Name: name, CUID: "c1"}
			r.core.set(func(core *fakeCore) {
				got := []dots.Client{
					core.asks[len(core.asks)-1].Client, core.withdrawn[len(core.withdrawn)-1].Client,
					core.asked[len(core.asked)-1].Client,
				}
				if diff := cmp.Diff([]dots.Client{want, want, want}, got); diff != "" {
					t.Error(diff)
				}
			})
		}
	})
}

// Clients behind a trusted gateway are told apart by cdid in everything that they ask for.
//
// RFC 9132, Section 4.4.1.2: cuid and cdid together tell a client.
func TestClientsBehindAGateway(t *testing.T) {
	inRig(t, nil, func(r *rig) {
		behind := func(path string) string { return strings.Replace(path, "mitigate/", "mitigate/cdid=d1/", 1) }
		c := r.connect("gw.example")
		c.do(request(putCode, behind(pathMID1), bodyPut))
		c.do(request(deleteCode, behind(pathMID1), ""))
		c.do(request(getCode, behind(pathAll), ""))
		want := dots.Client{Name: "gw", CUID: "c1", CDID: "d1"}
		r.core.set(func(core *fakeCore) {
			if core.asks[0].Client != want || core.withdrawn[0].Client != want || core.asked[0].Client != want {
				t.Errorf("asked %v, withdrew %v, looked at %v", core.asks[0].Client, core.withdrawn[0].Client, core.asked[0].Client)
			}
		})
	})
}

// RFC 9132, Section 4.4.1.3: who may not use the service is answered 4.01, heartbeats included.
func TestUnknownClient(t *testing.T) {
	for _, m := range []*coap.Message{
		request(putCode, pathMID1, bodyPut), request(putCode, pathMID1, "ff"), request(getCode, pathAll, ""),
		request(deleteCode, pathMID1, ""), request(getCode, pathConfig, ""), request(putCode, pathHB, bodyHBTrue),
	} {
		inRig(t, nil, func(r *rig) {
			c := r.connect("stranger.example")
			if got := code(c.do(m)); got != "4.01 unknown client" {
				t.Errorf("%s %v: %s", m.Code, m.Options.Path(), got)
			}
			if r.core.calls() != 0 || len(r.core.presences()) != 0 {
				t.Errorf("the core was asked %d times and told %v", r.core.calls(), r.core.presences())
			}
		})
	}
}

// A client entry is known by what it proves: a certificate's name or the identity of a pre-shared key; and a change of
// the configuration holds for the next request.
func TestIdentityFollowsConfiguration(t *testing.T) {
	inRig(t, nil, func(r *rig) {
		r.core.set(func(c *fakeCore) { c.names["psk-7"] = "a" })
		c := r.join(clientConfig{psk: "psk-7"})
		c.do(request(putCode, pathMID1, bodyPut))
		if got := r.core.lastAsk().Client.Name; got != "a" {
			t.Errorf("asked as %q; want a", got)
		}
		r.core.set(func(c *fakeCore) { c.names["psk-7"] = "b" })
		c.do(request(putCode, pathMID1, bodyPut))
		if got := r.core.lastAsk().Client.Name; got != "b" {
			t.Errorf("asked as %q after the change; want b", got)
		}
		r.core.set(func(c *fakeCore) { delete(c.names, "psk-7") })
		if got := code(c.do(request(putCode, pathMID1, bodyPut))); got != "4.01 unknown client" {
			t.Errorf("after removal: %s", got)
		}
		if diff := cmp.Diff([]string{"back a", "gone a 7m30s", "back b", "gone b 7m30s"}, r.core.presences()); diff != "" {
			t.Error(diff)
		}
	})
}

// What a credential was shown as one client is shown no more once it belongs to another, or to none.
func TestObservationEndsWithIdentity(t *testing.T) {
	for _, becomes := range []string{"b", ""} {
		inRig(t, nil, func(r *rig) {
			r.core.report(status(dots.StatusMitigated))
			c, stays := r.connect("a.example"), r.connect("a2.example")
			r.core.set(func(c *fakeCore) { c.names["a2.example"] = "a" })
			w, other := c.observe(pathMID1), stays.observe(pathMID1)
			r.core.set(func(c *fakeCore) {
				delete(c.names, "a.example")
				if becomes != "" {
					c.names["a.example"] = becomes
				}
			})
			r.wait(10 * time.Second)
			r.srv.Changed(keyA1)
			r.wait(10 * time.Second)
			w.expect("0 2.05 2", "10 4.01")
			other.expect("0 2.05 2", "10.005 2.05 2") // as the second observer
			if n := r.srv.watchers.count("a"); n != 1 {
				t.Errorf("%d observers of the old entry; want 1", n)
			}
		})
	}
}
