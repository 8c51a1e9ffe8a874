package rfc9132

import (
	"encoding/hex"
	"net/netip"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

// What is on the wire, byte for byte, in both directions. The bytes were written down by hand and by another encoder than ours.

func prefixes(list ...string) (p []netip.Prefix) {
	for _, s := range list {
		p = append(p, prefix(s))
	}
	return p
}

func TestRequestVectors(t *testing.T) {
	mitigation := func(m dots.Request) wire.Request {
		m.MID = 123
		return wire.Request{Op: wire.PutMitigation, CUID: "c", MID: dots.Some[uint32](123), Mitigation: m}
	}
	efficacy := mitigation(dots.Request{
		Target: dots.Target{Prefixes: prefixes("2001:db8:6401::1/128")}, Attack: dots.AttackUnderAttack,
		Lifetime: dots.Some[dots.Lifetime](3600),
	})
	efficacy.Efficacy = true
	over := efficacy
	over.Mitigation.Lifetime, over.Mitigation.Attack = dots.Maybe[dots.Lifetime]{}, dots.AttackMitigated
	for _, tt := range []struct {
		name string
		req  wire.Request
		path []string
		body string
	}{
		{
			"armed for the loss of the session", mitigation(dots.Request{
				Target: dots.Target{FQDNs: []string{"a.example"}}, Lifetime: dots.Some(dots.Indefinite), OnSignalLoss: true,
			}), path("mitigate", "cuid=c", "mid=123"),
			"A101A10281A30B8169612E6578616D706C650E20182DF4",
		},
		{
			"ports, protocols, a URI and an alias", mitigation(dots.Request{
				Target: dots.Target{
					Ports: []dots.PortRange{{Lower: 0, Upper: 23}, {Lower: 24, Upper: 24}, {Lower: 255, Upper: 256}}, Protocols: []uint8{0, 24, 255},
					URIs: []string{"https://a.example/"}, Aliases: []string{"web"},
				}, Lifetime: dots.Some[dots.Lifetime](4294967295),
			}), path("mitigate", "cuid=c", "mid=123"),
			"A101A10281A50783A208000917A1081818A20818FF091901000A8300181818FF0C817268747470733A2F2F612E657861" +
				"6D706C652F0D81637765620E1AFFFFFFFF",
		},
		{
			"an access list turned on", mitigation(dots.Request{
				Target: dots.Target{Prefixes: prefixes("2001:db8:6401::/48")}, Lifetime: dots.Some[dots.Lifetime](1),
				ACLs: []dots.ACLControl{{Name: "an-accept-list", Activation: dots.ActivateImmediate}, {Name: "b"}},
			}), path("mitigate", "cuid=c", "mid=123"),
			"A101A10281A3068172323030313A6462383A363430313A3A2F34380E01183582A2176E616E2D6163636570742D6C6973" +
				"74183402A1176162",
		},
		{
			"a source and what need not be understood", mitigation(dots.Request{
				Target: dots.Target{Prefixes: prefixes("198.51.100.0/24")}, Lifetime: dots.Some[dots.Lifetime](60),
				Source: dots.Source{
					Prefixes: []string{"192.0.2.0/24"}, Ports: []dots.PortRange{{Lower: 53, Upper: 53}},
					ICMPTypes: []dots.ICMPTypeRange{{Lower: 8, Upper: 10}},
				},
				Optional: []dots.Raw{{Key: 128, Value: []byte{0x01}}, {Key: 20000, Value: []byte{0x80}}, {Key: 65535, Value: []byte{0xf6}}},
			}), path("mitigate", "cuid=c", "mid=123"),
			"A101A10281A806816F3139382E35312E3130302E302F32340E183C188001194E2080198000816C3139322E302E322E30" +
				"2F323419800181A108183519800281A2198003081980040A19FFFFF6",
		},
		{
			"an efficacy update", efficacy, path("mitigate", "cuid=c", "mid=123"),
			"A101A10281A3068174323030313A6462383A363430313A3A312F3132380E190E10181D01",
		},
		{
			"an efficacy update that keeps the lifetime", over, path("mitigate", "cuid=c", "mid=123"),
			"A101A10281A2068174323030313A6462383A363430313A3A312F313238181D02",
		},
		{
			"a configuration of both sets",
			wire.Request{Op: wire.PutConfig, SID: dots.Some[uint64](123), Config: dots.SessionConfig{
				Mitigating: dots.ConfigSet{
					HeartbeatInterval: current[uint16](91), MissingHBAllowed: current[uint16](3), MaxRetransmit: current[uint16](3),
					AckTimeout: current[dots.Decimal](200), AckRandomFactor: current[dots.Decimal](150), ProbingRate: current[uint16](15),
				},
				Idle: dots.ConfigSet{HeartbeatInterval: current[uint16](0), AckTimeout: current[dots.Decimal](3000)},
			}},
			path("config", "sid=123"),
			"A1181EA21820A61821A11824185B1825A11824031826A11824031827A1182BC4822118C81828A1182BC4822118961832" +
				"A118240F182CA21821A11824001827A1182BC48221190BB8",
		},
		{
			"a configuration of robust blocks",
			wire.Request{Op: wire.PutConfig, SID: dots.Some[uint64](0), Config: dots.SessionConfig{
				Idle: dots.ConfigSet{Robust: dots.RobustSet{
					MaxPayloads: current[uint16](10), NonMaxRetransmit: current[uint16](3), NonTimeout: current[dots.Decimal](200),
					NonReceiveTimeout: current[dots.Decimal](400), NonProbingWait: current[dots.Decimal](24700),
					NonPartialWait: current[dots.Decimal](24700),
				}},
			}},
			path("config", "sid=0"),
			"A1181EA1182CA6198008A118240A198009A118240319800AA1182BC4822118C819800BA1182BC4822119019019800CA1" +
				"182BC4822119607C19800DA1182BC4822119607C",
		},
		{
			"a redirection of call home",
			wire.Request{Op: wire.PutRedirect, CUID: "c", Redirect: dots.Redirect{
				Server: "alt.example", Records: []string{"2001:db8::1", "192.0.2.1"}, TTLs: []uint32{3600},
			}},
			path("redirect", "cuid=c"),
			"A1182EA31980056B616C742E6578616D706C65198006826B323030313A6462383A3A31693139322E302E322E31198007" +
				"190E10",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := encoded(t, tt.req)
			if sent, want := hex.EncodeToString(got.Payload), hex.EncodeToString(unhex(t, tt.body)); sent != want {
				t.Errorf("encoded %s\nwant    %s", sent, want)
			}
			want := wire.CoAPRequest{
				Method: wire.PUT, Path: tt.path, Format: dots.Some[uint16](271), IfMatch: tt.req.Efficacy, Payload: unhex(t, tt.body),
			}
			equal(t, got, want)
			equal(t, accepted(t, want), tt.req)
		})
	}
}

func TestResponseVectors(t *testing.T) {
	config := wire.Request{Op: wire.GetConfig}
	reports := func(list ...dots.Report) wire.Response { return wire.Response{Code: dots.CodeContent, Reports: list} }
	conflict := func(c dots.Conflict) wire.Response {
		return wire.Response{Code: dots.CodeConflict, Conflict: dots.Some(c)}
	}
	count := dots.Some[uint64]
	for _, tt := range []struct {
		name string
		req  wire.Request
		resp wire.Response
		body string
	}{
		{
			"created, in conflict", figureRequest(),
			wire.Response{
				Code: dots.CodeCreated, Granted: dots.Some(wire.Granted{MID: 123, Lifetime: 3600}),
				Conflict: dots.Some(dots.Conflict{
					Status: dots.ConflictThisActive, Cause: dots.CauseOverlappingTargets,
					Scope: dots.Target{Prefixes: prefixes("198.51.100.0/24")},
				}),
			},
			"A101A10281A305187B0E190E1011A31202130115A106816F3139382E35312E3130302E302F3234",
		},
		{
			"refreshed for ever", figureRequest(),
			wire.Response{Code: dots.CodeChanged, Granted: dots.Some(wire.Granted{MID: 4294967295, Lifetime: dots.Indefinite})},
			"A101A10281A2051AFFFFFFFF0E20",
		},
		{
			"no mitigation in a list", getAll(), reports(),
			"A101A10280",
		},
		{
			"being set up", getAll(), reports(dots.Report{
				MID: 1, Target: dots.Target{Prefixes: prefixes("198.51.100.0/24")}, Lifetime: 3600, Start: count(1507818434),
				Status: dots.StatusInProgress,
			}),
			"A101A10281A5050106816F3139382E35312E3130302E302F32340E190E100F1A59DF7BC21001",
		},
		{
			"mitigated, with counters", getAll(), reports(dots.Report{
				MID: 2, Target: dots.Target{FQDNs: []string{"a.example"}}, Lifetime: 60, Start: count(4294967296), Status: dots.StatusMitigated,
				Counters: dots.Counters{
					BytesDropped: count(18446744073709551615), BytesPerSecond: count(0), PktsDropped: count(23), PktsPerSecond: count(24),
				},
			}),
			"A101A10281A905020B8169612E6578616D706C650E183C0F1B0000000100000000100218191BFFFFFFFFFFFFFFFF181A" +
				"00181B17181C1818",
		},
		{
			"armed, beside one that was pushed out", getAll(), reports(
				dots.Report{MID: 3, Lifetime: dots.Indefinite, OnSignalLoss: true, Status: dots.StatusSignalLossArmed},
				dots.Report{MID: 4, Lifetime: 165, Status: dots.StatusWithdrawn, Conflict: dots.Some(dots.Conflict{
					Status: dots.ConflictOtherActive, Cause: dots.CauseOverlappingTargets, RetryTimer: 120,
				})},
			),
			"A101A10282A405030E201008182DF4A405040E18A5100711A312011301141878",
		},
		{
			"stopped, exceeded, withdrawn, terminated", getAll(), reports(
				dots.Report{MID: 1, Lifetime: 9, Status: dots.StatusStopped}, dots.Report{MID: 2, Lifetime: 9, Status: dots.StatusExceeded},
				dots.Report{MID: 3, Lifetime: 9, Status: dots.StatusClientWithdrawn}, dots.Report{MID: 4, Lifetime: 0, Status: dots.StatusTerminated},
			),
			"A101A10284A305010E091003A305020E091004A305030E091005A305040E001006",
		},
		{
			"conflict with a mid of one's own", figureRequest(),
			conflict(dots.Conflict{Cause: dots.CauseOverlappingTargets, MID: dots.Some[uint32](124)}),
			"A101A10281A205187B11A2130115A105187C",
		},
		{
			"conflict over a part", figureRequest(), conflict(dots.Conflict{
				Status: dots.ConflictOtherActive, Cause: dots.CauseOverlappingTargets, RetryTimer: 3600,
				Scope: dots.Target{Prefixes: prefixes("198.51.100.0/25"), Ports: []dots.PortRange{{Lower: 80, Upper: 81}}, Protocols: []uint8{6}},
			}),
			"A101A10281A205187B11A41201130114190E1015A306816F3139382E35312E3130302E302F32350781A2081850091851" +
				"0A8106",
		},
		{
			"conflict with an accept-list", figureRequest(), conflict(dots.Conflict{
				Status: dots.ConflictAllInactive, Cause: dots.CauseAcceptList,
				ACLs: []dots.ACLRef{{Name: "l", Type: "ietf-access-control-list:ipv4-acl-type"}},
			}),
			"A101A10281A205187B11A31203130215A11681A217616C18187826696574662D6163636573732D636F6E74726F6C2D6C" +
				"6973743A697076342D61636C2D74797065",
		},
		{
			"collision of cuids", figureRequest(), conflict(dots.Conflict{Cause: dots.CauseCUIDCollision}),
			"A101A10281A111A11303",
		},
		{
			"redirection", figureRequest(),
			wire.Response{
				Code: dots.CodeUnavailable, MaxAge: dots.Some[uint32](4294967295), Redirect: dots.Some(dots.Redirect{
					Server: "alt-server.example", Records: []string{"2001:db8:6401::1", "192.0.2.1"},
				}),
			},
			"A1182EA2182F72616C742D7365727665722E6578616D706C6518308270323030313A6462383A363430313A3A31693139" +
				"322E302E322E31",
		},
		{
			"redirection by name alone", getAll(),
			wire.Response{
				Code: dots.CodeUnavailable, MaxAge: dots.Some[uint32](0), Redirect: dots.Some(dots.Redirect{Server: "a.example"}),
			},
			"A1182EA1182F69612E6578616D706C65",
		},
		{
			"access lists that could not be applied", figureRequest(),
			wire.Response{
				Code: dots.CodeUnavailable, MaxAge: dots.Some[uint32](60),
				ACLs: []dots.ACLControl{{Name: "l", Activation: dots.ActivateWhenMitigating}, {Name: "m", Activation: dots.ActivateDeactivate}},
			},
			"A101A10281A205187B183582A217616C183401A217616D183403",
		},
		{
			"ranges of both sets", config,
			wire.Response{
				Code: dots.CodeContent, MaxAge: dots.Some[uint32](60), Config: dots.SessionConfig{
					Mitigating: dots.ConfigSet{
						HeartbeatInterval: bounds[uint16](30, 15, 240), MissingHBAllowed: bounds[uint16](15, 3, 20),
						MaxRetransmit: bounds[uint16](3, 2, 15), AckTimeout: bounds[dots.Decimal](200, 100, 3000),
						AckRandomFactor: bounds[dots.Decimal](150, 110, 400), ProbingRate: bounds[uint16](5, 5, 20),
					},
					Idle: dots.ConfigSet{HeartbeatInterval: bounds[uint16](0, 0, 65535), AckTimeout: dots.Bounds[dots.Decimal]{Max: dots.Some[dots.Decimal](3000)}},
				},
			},
			"A1181EA21820A61821A3182218F018230F1824181E1825A318221418230318240F1826A318220F1823021824031827A3" +
				"1829C48221190BB8182AC482211864182BC4822118C81828A31829C48221190190182AC48221186E182BC48221189618" +
				"32A3182214182305182405182CA21821A3182219FFFF1823001824001827A11829C48221190BB8",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := answered(t, tt.req, tt.resp)
			if sent, want := hex.EncodeToString(got.Payload), hex.EncodeToString(unhex(t, tt.body)); sent != want {
				t.Errorf("encoded %s\nwant    %s", sent, want)
			}
			want := wire.CoAPResponse{
				Code: tt.resp.Code, Format: dots.Some[uint16](271), MaxAge: tt.resp.MaxAge, Payload: unhex(t, tt.body),
			}
			equal(t, got, want)
			if tt.resp.Reports == nil && tt.req.Op == wire.GetMitigations && tt.resp.Code == dots.CodeContent {
				tt.resp.Reports = []dots.Report{}
			}
			equal(t, understood(t, tt.req, want), tt.resp)
		})
	}
}

// What goes with an answer besides its body does not change the body, and what is of another answer is left out.
func TestResponsesHoldNothingElse(t *testing.T) {
	everything := wire.Response{
		MaxAge: dots.Some[uint32](9), Reports: fullReports(), Granted: dots.Some(wire.Granted{MID: 123, Lifetime: 60}), Config: fullConfig(),
		Conflict: dots.Some(dots.Conflict{Cause: dots.CauseOverlappingTargets}), Redirect: dots.Some(dots.Redirect{Server: "a.example"}),
		Diagnostic: "text", ACLs: []dots.ACLControl{{Name: "l"}},
	}
	granted := wire.Response{Granted: everything.Granted, Conflict: everything.Conflict}
	for _, tt := range []struct {
		op   wire.Op
		code dots.Code
		want wire.Response
	}{
		{wire.PutMitigation, dots.CodeCreated, granted},
		{wire.PutMitigation, dots.CodeChanged, granted},
		{wire.GetMitigations, dots.CodeContent, wire.Response{Reports: everything.Reports}},
		{wire.GetConfig, dots.CodeContent, wire.Response{Config: everything.Config}},
		{wire.DeleteMitigation, dots.CodeDeleted, wire.Response{}},
		{wire.PutConfig, dots.CodeCreated, wire.Response{}},
		{wire.DeleteConfig, dots.CodeDeleted, wire.Response{}},
		{wire.PutHeartbeat, dots.CodeChanged, wire.Response{}},
		{wire.PutMitigation, dots.CodeConflict, wire.Response{Conflict: everything.Conflict}},
		{wire.PutMitigation, dots.CodeUnavailable, wire.Response{Redirect: everything.Redirect}},
		{wire.PutMitigation, dots.CodeBadRequest, wire.Response{Diagnostic: "text"}},
		{wire.GetMitigations, dots.CodeNotFound, wire.Response{Diagnostic: "text"}},
		{wire.PutConfig, dots.CodeUnprocessable, wire.Response{Diagnostic: "text"}},
		{wire.PutMitigation, dots.CodeLoop, wire.Response{Diagnostic: "text"}},
	} {
		req := figureRequest()
		req.Op = tt.op
		everything.Code = tt.code
		tt.want.Code, tt.want.MaxAge = tt.code, everything.MaxAge
		equal(t, understood(t, req, answered(t, req, everything)), tt.want)
	}
}
