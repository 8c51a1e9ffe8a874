package rfc9132

import (
	"net/netip"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

// What known peers put on the wire, which is not always what we would.

func TestKnownClientHeartbeat(t *testing.T) {
	r := wire.CoAPRequest{
		Method: wire.PUT, Path: []string{".well-known", "dots", "hb"}, Format: dots.Some[uint16](271),
		Payload: unhex(t, "a11831a11833f5"),
	}
	equal(t, accepted(t, r), wire.Request{Op: wire.PutHeartbeat, PeerHB: true})
	// It answers ours without a payload and without a format.
	equal(t, understood(t, wire.Request{Op: wire.PutHeartbeat}, wire.CoAPResponse{Code: dots.CodeChanged}), wire.Response{Code: dots.CodeChanged})
	// A client without the resource answers 4.04: an answer like any other.
	got := understood(t, wire.Request{Op: wire.PutHeartbeat}, wire.CoAPResponse{Code: dots.CodeNotFound, Payload: []byte("Not Found")})
	equal(t, got, wire.Response{Code: dots.CodeNotFound, Diagnostic: "Not Found"})
}

func TestKnownClientSupportProbe(t *testing.T) {
	// A GET without any path opens its sessions.
	isRefused(t, wire.CoAPRequest{Method: wire.GET}, dots.CodeNotFound, "no such resource")
}

func TestKnownClientDecimals(t *testing.T) {
	// c4 82 20 18cd is 20.5.
	payload := unhex(t, "a1 181e a1 1820 a2 1827 a1 182b c4 82 20 18cd 1828 a1 182b c4 82 21 1896")
	got := accepted(t, putConfig(payload)).Config.Mitigating
	equal(t, got.AckTimeout, current[dots.Decimal](2050))
	equal(t, got.AckRandomFactor, current[dots.Decimal](150))
}

func TestKnownClientEfficacy(t *testing.T) {
	r := put(body(t, scope(m{6: a{"198.51.100.1/32"}, 7: a{m{8: 80}}, 10: a{6}, 14: 90, 29: 1})))
	r.IfMatch = true
	got := accepted(t, r)
	if !got.Efficacy || got.Mitigation.Attack != dots.AttackUnderAttack || got.Mitigation.Lifetime != dots.Some[dots.Lifetime](90) {
		t.Errorf("got %+v", got)
	}
}

func TestKnownServerReports(t *testing.T) {
	// Empty arrays and nulls for what is absent, upper-port always, keys in no order.
	payload := unhex(t, "a1 01 a1 02 81 af"+
		"10 02 05 187b 06 81 6f 3139382e35312e3130302e302f3234"+
		"07 81 a2 08 1850 09 1850 0a 80 0b 80 0c f6 0d 80 0e 190e10 0f 1a 59df2642"+
		"1819 00 181a 00 181b 00 181c 00 11 f6")
	got := understood(t, getAll(), wire.CoAPResponse{Code: dots.CodeContent, Format: dots.Some[uint16](271), Payload: payload})
	zero := dots.Some[uint64](0)
	equal(t, got.Reports, []dots.Report{{
		MID: 123, Lifetime: 3600, Status: dots.StatusMitigated, Start: dots.Some[uint64](0x59df2642),
		Target: dots.Target{
			Prefixes: []netip.Prefix{prefix("198.51.100.0/24")}, Ports: []dots.PortRange{{Lower: 80, Upper: 80}},
		},
		Counters: dots.Counters{BytesDropped: zero, BytesPerSecond: zero, PktsDropped: zero, PktsPerSecond: zero},
	}})
}

func TestKnownServerConfig(t *testing.T) {
	// Max-Age 45 and the parameters of robust blocks in both sets.
	set := m{
		33: m{34: 240, 35: 15, 36: 30}, 37: m{34: 20, 35: 3, 36: 15}, 50: m{34: 20, 35: 5, 36: 5}, 38: m{34: 15, 35: 2, 36: 3},
		39: m{41: dec(-2, 3000), 42: dec(-2, 100), 43: dec(-2, 200)}, 40: m{41: dec(-2, 400), 42: dec(-2, 110), 43: dec(-2, 150)},
		32776: m{34: 20, 35: 5, 36: 10}, 32777: m{34: 15, 35: 2, 36: 3}, 32778: m{41: dec(-1, 300), 42: dec(0, 1), 43: 2},
		32779: m{43: dec(-2, 400)}, 32780: m{43: dec(-2, 24700)}, 32781: m{43: dec(-2, 24700)},
	}
	got := understood(t, wire.Request{Op: wire.GetConfig}, wire.CoAPResponse{
		Code: dots.CodeContent, MaxAge: dots.Some[uint32](45), Format: dots.Some[uint16](271), Payload: body(t, m{30: m{32: set, 44: set}}),
	})
	want := dots.ConfigSet{
		HeartbeatInterval: bounds[uint16](30, 15, 240), MissingHBAllowed: bounds[uint16](15, 3, 20),
		ProbingRate: bounds[uint16](5, 5, 20), MaxRetransmit: bounds[uint16](3, 2, 15),
		AckTimeout: bounds[dots.Decimal](200, 100, 3000), AckRandomFactor: bounds[dots.Decimal](150, 110, 400),
		Robust: dots.RobustSet{
			MaxPayloads: bounds[uint16](10, 5, 20), NonMaxRetransmit: bounds[uint16](3, 2, 15),
			NonTimeout: bounds[dots.Decimal](200, 100, 3000), NonReceiveTimeout: current[dots.Decimal](400),
			NonProbingWait: current[dots.Decimal](24700), NonPartialWait: current[dots.Decimal](24700),
		},
	}
	equal(t, got, wire.Response{
		Code: dots.CodeContent, MaxAge: dots.Some[uint32](45), Config: dots.SessionConfig{Mitigating: want, Idle: want},
	})
}

func TestKnownServerDoesNotExecute(t *testing.T) {
	// After a block-wise GET it answers PUT and DELETE with 2.05 and the old body.
	old := answered(t, getAll(), wire.Response{Code: dots.CodeContent, Reports: fullReports()})
	for _, op := range []wire.Op{wire.PutMitigation, wire.DeleteMitigation, wire.PutConfig, wire.DeleteConfig} {
		_, err := New().DecodeResponse(wire.Request{Op: op}, old)
		isResponseError(t, "2.05", err)
	}
}

func TestKnownServerRefusals(t *testing.T) {
	for _, code := range []dots.Code{dots.CodeBadRequest, dots.CodeUnauthorized} {
		got := understood(t, figureRequest(), wire.CoAPResponse{Code: code, Format: dots.Some[uint16](0), Payload: []byte("no")})
		equal(t, got, wire.Response{Code: code, Diagnostic: "no"})
	}
	got := understood(t, figureRequest(), wire.CoAPResponse{
		Code: dots.CodeConflict, Format: dots.Some[uint16](271),
		Payload: body(t, scope(m{5: 123, 17: m{18: 1, 19: 1, 20: 3600, 21: m{6: a{"198.51.100.0/24"}, 7: a{}, 10: nil, 22: a{}}}})),
	})
	equal(t, got.Conflict, dots.Some(dots.Conflict{
		Status: dots.ConflictOtherActive, Cause: dots.CauseOverlappingTargets, RetryTimer: 3600,
		Scope: dots.Target{Prefixes: []netip.Prefix{prefix("198.51.100.0/24")}},
	}))
}
