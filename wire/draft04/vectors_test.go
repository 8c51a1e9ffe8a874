package draft04

import (
	"encoding/hex"
	"math"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

// What is on the wire, byte for byte, in both directions. The bytes were written down by hand and by another encoder than ours.

func TestRequestVectors(t *testing.T) {
	mitigation := func(m dots.Request) wire.Request {
		m.MID = 12332
		return wire.Request{Op: wire.PutMitigation, MID: dots.Some[uint32](12332), Mitigation: m}
	}
	efficacy := mitigation(dots.Request{Target: dots.Target{FQDNs: []string{"a.example"}}, Attack: dots.AttackUnderAttack})
	efficacy.Efficacy = true
	config := flat(dots.ConfigSet{
		HeartbeatInterval: current[uint16](91), MissingHBAllowed: current[uint16](3), MaxRetransmit: current[uint16](7),
		AckTimeout: current[dots.Decimal](500), AckRandomFactor: current[dots.Decimal](150),
	})
	config.TriggerMitigation = dots.Some(false)
	for _, tt := range []struct {
		name   string
		req    wire.Request
		method wire.Method
		path   string
		body   string
	}{
		{
			"a name, any protocol, for ever",
			mitigation(dots.Request{Target: dots.Target{FQDNs: []string{"a.example"}}, Lifetime: dots.Some(dots.Indefinite)}), wire.PUT, "signal",
			"A101A10281A40319302C088100098169612E6578616D706C650C20",
		},
		{
			"addresses of both families, a range of ports, a URI and an alias", mitigation(dots.Request{
				Target: dots.Target{
					Prefixes: prefixes("198.51.100.1/32", "2001:db8::1/128"), Ports: []dots.PortRange{{Lower: 1, Upper: 1023}},
					Protocols: []uint8{6, 17}, URIs: []string{"https://a.example/"}, Aliases: []string{"web"},
				}, Lifetime: dots.Some[dots.Lifetime](2147483647),
			}), wire.PUT, "signal",
			"A101A10281A70319302C04826C3139382E35312E3130302E316B323030313A6462383A3A310581A20601071903FF0882" +
				"06110A817268747470733A2F2F612E6578616D706C652F0B81637765620C1A7FFFFFFF",
		},
		{
			"an efficacy update", efficacy, wire.PUT, "signal",
			"A101A10281A40319302C088100098169612E6578616D706C650D01",
		},
		{
			"a configuration",
			wire.Request{Op: wire.PutConfig, SID: dots.Some[uint64](12345), Config: config},
			wire.PUT, "config",
			"A10EA70F185B1007110512FB3FF8000000000000181A193039181BF4181C03",
		},
		{
			"one mitigation",
			wire.Request{Op: wire.GetMitigations, MID: dots.Some[uint32](12332)},
			wire.GET, "signal",
			"A101A10281A10319302C",
		},
		{
			"the end of one",
			wire.Request{Op: wire.DeleteMitigation, MID: dots.Some[uint32](2147483647)},
			wire.DELETE, "signal",
			"A101A10281A1031A7FFFFFFF",
		},
		{
			"the installed configuration",
			wire.Request{Op: wire.GetConfig, SID: dots.Some[uint64](7)},
			wire.GET, "config",
			"A10EA1181A07",
		},
		{
			"the end of a configuration",
			wire.Request{Op: wire.DeleteConfig, SID: dots.Some[uint64](0)},
			wire.DELETE, "config",
			"A10EA1181A00",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := encoded(t, tt.req)
			if sent, want := hex.EncodeToString(got.Payload), hex.EncodeToString(unhex(t, tt.body)); sent != want {
				t.Errorf("encoded %s\nwant    %s", sent, want)
			}
			want := wire.CoAPRequest{
				Method: tt.method, Path: path(tt.path), Format: dots.Some[uint16](60), IfMatch: tt.req.Efficacy, Payload: unhex(t, tt.body),
			}
			equal(t, got, want)
			equal(t, accepted(t, want), tt.req)
		})
	}
}

func TestResponseVectors(t *testing.T) {
	reports := func(list ...dots.Report) wire.Response { return wire.Response{Code: dots.CodeContent, Reports: list} }
	count := dots.Some[uint64]
	redirect := wire.Response{Code: dots.CodeUnavailable, MaxAge: dots.Some[uint32](60), Redirect: dots.Some(dots.Redirect{
		Server: "a.example", Records: []string{"2001:db8::1", "192.0.2.1"}, TTLs: []uint32{3600, 60},
	})}
	ranges := flat(dots.ConfigSet{
		HeartbeatInterval: dots.Bounds[uint16]{Current: dots.Some[uint16](91), Min: dots.Some[uint16](60), Max: dots.Some[uint16](240)},
		AckTimeout:        dots.Bounds[dots.Decimal]{Current: dots.Some[dots.Decimal](200), Max: dots.Some[dots.Decimal](3000)},
		AckRandomFactor: dots.Bounds[dots.Decimal]{
			Current: dots.Some[dots.Decimal](150), Min: dots.Some[dots.Decimal](100), Max: dots.Some[dots.Decimal](400),
		},
	})
	ranges.TriggerMitigation = dots.Some(true)
	for _, tt := range []struct {
		name string
		req  wire.Request
		resp wire.Response
		code dots.Code
		body string
	}{
		{
			"granted for ever", figureRequest(),
			wire.Response{Code: dots.CodeChanged, Granted: dots.Some(wire.Granted{MID: 2147483647, Lifetime: dots.Indefinite})},
			dots.CodeChanged,
			"A101A10281A2031A7FFFFFFF0C20",
		},
		{
			"mitigated", getAll(), reports(dots.Report{
				MID: 1, Target: dots.Target{Prefixes: prefixes("198.51.100.1/32", "198.51.100.0/24"), Protocols: []uint8{17}}, Lifetime: 60,
				Status: dots.StatusMitigated, Start: count(1507818434), Counters: dots.Counters{
					BytesDropped: count(18446744073709551615), BytesPerSecond: count(0), PktsDropped: count(23), PktsPerSecond: count(24),
				},
			}), dots.CodeContent,
			"A101A10281AB030104816C3139382E35312E3130302E310881110C183C1502161BFFFFFFFFFFFFFFFF17001818171819" +
				"1818181EFB41D677DEF08000006D7461726765742D707265666978816F3139382E35312E3130302E302F3234",
		},
		{
			"the five states", getAll(), reports(
				dots.Report{MID: 1, Lifetime: 9, Status: 1}, dots.Report{MID: 2, Lifetime: 9, Status: 2}, dots.Report{MID: 3, Lifetime: 9, Status: 3},
				dots.Report{MID: 4, Lifetime: 9, Status: 4}, dots.Report{MID: 5, Lifetime: 0, Status: 5},
			), dots.CodeContent,
			"A101A10285A403010881000C091501A403020881000C091502A403030881000C091503A403040881000C091504A40305" +
				"0881000C001505",
		},
		{
			"ranges", getConfig(),
			wire.Response{Code: dots.CodeContent, Config: ranges, MaxAge: noAge()},
			dots.CodeContent,
			"A40FA313183C1418F0181D185B11A214181E181D0212A313FB3FF000000000000014FB4010000000000000181DFB3FF8" +
				"000000000000181BF5",
		},
		{
			"another server", figureRequest(), redirect, dots.CodeAlternateServer,
			"A26A616C742D73657276657269612E6578616D706C6571616C742D7365727665722D7265636F726482A26374746C190E" +
				"1064616464726B323030313A6462383A3A31A26374746C183C6461646472693139322E302E322E31",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := answered(t, tt.req, tt.resp)
			if sent, want := hex.EncodeToString(got.Payload), hex.EncodeToString(unhex(t, tt.body)); sent != want {
				t.Errorf("encoded %s\nwant    %s", sent, want)
			}
			want := wire.CoAPResponse{Code: tt.code, Format: dots.Some[uint16](60), MaxAge: got.MaxAge, Payload: unhex(t, tt.body)}
			equal(t, got, want)
			equal(t, understood(t, tt.req, want), tt.resp)
		})
	}
}

// Every code that a gateway answers with, as this dialect says it, and with a text that is never empty.
func TestEveryCode(t *testing.T) {
	other := map[dots.Code]dots.Code{dots.CodeConflict: dots.CodeBadRequest}
	for code := dots.CodeBadRequest; code < 6<<5; code++ {
		want := code
		if c, ok := other[code]; ok {
			want = c
		}
		got := answered(t, getAll(), wire.Response{Code: code, MaxAge: dots.Some[uint32](3)})
		if got.Code != want || len(got.Payload) == 0 || len(got.Payload) > dots.MaxDiagnostic || got.Format.Set || got.MaxAge.Value != 3 {
			t.Errorf("%v: %+v", code, got)
		}
		back := understood(t, getAll(), got)
		if got.Code == dots.CodeBadOption {
			want = dots.CodeBadRequest
		}
		equal(t, back, wire.Response{Code: want, MaxAge: got.MaxAge, Diagnostic: string(got.Payload)})
	}
}

// noAge is the age of a configuration of which the server tells none: this dialect knows none, and it holds.
func noAge() dots.Maybe[uint32] { return dots.Some[uint32](math.MaxUint32) }
