package draft04

import (
	"bytes"
	"encoding/binary"
	"math"
	"net/netip"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

// A test for each place in which the draft contradicts itself, in its order of sections; doc.go says what was chosen.

func TestTargetPrefixHasNoKey(t *testing.T) {
	got := accepted(t, put(body(t, scope(m{3: 1, 4: a{"192.0.2.1"}, "target-prefix": a{"198.51.100.0/24", "192.0.2.9/32"}}))))
	want := []netip.Prefix{prefix("192.0.2.1/32"), prefix("198.51.100.0/24"), prefix("192.0.2.9/32")}
	equal(t, got.Mitigation.Target.Prefixes, want)
	resp := wire.Response{Code: dots.CodeContent, Reports: []dots.Report{{
		MID: 1, Target: got.Mitigation.Target, Lifetime: 60, Status: dots.StatusMitigated,
	}}}
	sent := answered(t, getAll(), resp)
	equal(t, sent.Payload, body(t, scope(m{
		3: 1, 4: a{"192.0.2.1", "192.0.2.9"}, 8: a{0}, 12: 60, 21: 2, "target-prefix": a{"198.51.100.0/24"},
	})))
	if _, err := New().EncodeRequest(got); err == nil {
		t.Error("a prefix asked for of a server")
	}
}

func TestScopeIsArrayOrMap(t *testing.T) {
	bare := body(t, m{1: m{2: m{3: 12332, 4: a{"192.0.2.1"}}}})
	list := body(t, scope(m{3: 12332, 4: a{"192.0.2.1"}}))
	equal(t, accepted(t, put(bare)), accepted(t, put(list)))
	got := understood(t, getAll(), wire.CoAPResponse{Code: dots.CodeContent, Payload: body(t, m{1: m{2: m{3: 1, 12: 5, 21: 1}}})})
	equal(t, got.Reports, []dots.Report{{MID: 1, Lifetime: 5, Status: dots.StatusInProgress}})
}

func TestSessionIDHas64Bits(t *testing.T) {
	for _, sid := range []uint64{0, 1234534333242, math.MaxUint64} {
		equal(t, accepted(t, putConfig(body(t, m{14: m{26: sid, 15: 91}}))).SID, dots.Some(sid))
	}
	isRefused(t, putConfig(body(t, m{14: m{26: -1, 15: 91}})), dots.CodeBadOption, "session-id")
	req := wire.Request{Op: wire.GetConfig, SID: dots.Some[uint64](math.MaxInt32)}
	equal(t, accepted(t, encoded(t, req)), req)
}

func TestMitigationIDIsInt32(t *testing.T) {
	for id, ok := range map[int64]bool{0: true, math.MaxInt32: true, math.MaxInt32 + 1: false, -1: false} {
		_, err := New().DecodeRequest(put(body(t, scope(m{3: id, 4: a{"192.0.2.1"}}))))
		if (err == nil) != ok {
			t.Errorf("id %d: error %v", id, err)
		}
	}
}

func TestLifetimeMayBeNegative(t *testing.T) {
	req := accepted(t, put(body(t, scope(m{3: 1, 4: a{"192.0.2.1"}, 12: -1}))))
	equal(t, req.Mitigation.Lifetime, dots.Some(dots.Indefinite))
	equal(t, encoded(t, req).Payload, body(t, scope(m{3: 1, 4: a{"192.0.2.1"}, 8: a{0}, 12: -1})))
	req.Mitigation.Lifetime.Value = math.MaxUint32
	equal(t, accepted(t, encoded(t, req)).Mitigation.Lifetime.Value, dots.Lifetime(math.MaxInt32))
}

func TestParametersAreScalarsOrMaps(t *testing.T) {
	isRefused(t, putConfig(body(t, m{14: m{26: 1, 15: m{29: 91}}})), dots.CodeBadOption, "heartbeat-interval: not an unsigned")
	for _, answer := range []m{{15: 91}, {15: m{29: 91}}} {
		got := understood(t, getConfig(), wire.CoAPResponse{Code: dots.CodeContent, Payload: body(t, answer)})
		equal(t, got.Config.Mitigating.HeartbeatInterval.Current, dots.Some[uint16](91))
	}
}

func TestValuesAreIntegersOrFloats(t *testing.T) {
	for _, tt := range []struct {
		value any
		want  dots.Decimal
	}{{1.5, 150}, {2, 200}, {1.0, 100}, {1.1, 110}, {3.3, 330}, {4, 400}} {
		got := accepted(t, putConfig(body(t, m{14: m{26: 1, 18: tt.value}})))
		equal(t, got.Config.Mitigating.AckRandomFactor.Current, dots.Some(tt.want))
		equal(t, accepted(t, encoded(t, got)), got)
		for _, key := range []int{19, 20} {
			answer := wire.CoAPResponse{Code: dots.CodeContent, Payload: body(t, m{18: m{29: 1.5, key: tt.value}})}
			b := understood(t, getConfig(), answer).Config.Mitigating.AckRandomFactor
			if b.Min != dots.Some(tt.want) && b.Max != dots.Some(tt.want) {
				t.Errorf("%v under %d read as %+v", tt.value, key, b)
			}
		}
	}
	answer := wire.CoAPResponse{Code: dots.CodeContent, Payload: body(t, m{15: m{29: 91.0}, 17: m{29: 2.5}})}
	got := understood(t, getConfig(), answer).Config.Mitigating
	equal(t, got.HeartbeatInterval.Current, dots.Some[uint16](91))
	equal(t, got.AckTimeout.Current, dots.Some[dots.Decimal](250))
}

func TestStartIsIntegerOrFloat(t *testing.T) {
	for _, start := range []any{1507818434, 1507818434.25, uint64(1507818434)} {
		answer := wire.CoAPResponse{Code: dots.CodeContent, Payload: body(t, scope(m{3: 1, 12: 5, 21: 2, 30: start}))}
		got := understood(t, getAll(), answer)
		equal(t, got.Reports[0].Start, dots.Some[uint64](1507818434))
		written := binary.BigEndian.AppendUint64([]byte{0x18, 30, 0xfb}, math.Float64bits(1507818434))
		if sent := answered(t, getAll(), got).Payload; !bytes.HasSuffix(sent, written) {
			t.Errorf("written as %x", sent)
		}
	}
	for _, start := range []any{-1, -0.5, 1e300, "x"} {
		_, err := New().DecodeResponse(getAll(), wire.CoAPResponse{Code: dots.CodeContent, Payload: body(t, scope(m{3: 1, 12: 5, 21: 2, 30: start}))})
		isResponseError(t, "start", err)
	}
}

func TestRedirectHasNames(t *testing.T) {
	// draft-ietf-dots-signal-channel-04, Section 5.5: the example, raw code 3.00.
	want := body(t, m{"alt-server": "www.example-alt.com", "alt-server-record": a{
		m{"ttl": 3600, "addr": "2001:db8:6401::1"}, m{"ttl": 1800, "addr": "2001:db8:6401::2"},
	}})
	resp := wire.Response{Code: dots.CodeUnavailable, MaxAge: dots.Some[uint32](1800), Redirect: dots.Some(dots.Redirect{
		Server: "www.example-alt.com", Records: []string{"2001:db8:6401::1", "2001:db8:6401::2"}, TTLs: []uint32{3600, 1800},
	})}
	got := answered(t, figureRequest(), resp)
	equal(t, got, wire.CoAPResponse{Code: 0x60, Format: dots.Some[uint16](60), Payload: want})
	equal(t, understood(t, figureRequest(), got), resp)
	// Elsewhere one Max-Age holds for all.
	resp.Redirect.Value.TTLs = nil
	equal(t, understood(t, figureRequest(), answered(t, figureRequest(), resp)).Redirect.Value.TTLs, []uint32{1800, 1800})
	for _, broken := range []any{
		m{},
		m{"alt-server": 1},
		m{"alt-server": "a", "alt-server-record": a{m{"ttl": 1}}},
		1,
		m{"alt-server": "a", "alt-server-record": a{m{"addr": "x", "ttl": 1}}},
	} {
		_, err := New().DecodeResponse(figureRequest(), wire.CoAPResponse{Code: 0x60, Payload: body(t, broken)})
		isResponseError(t, "redirect", err)
	}
}

func TestConfigAnswerWithOrWithoutWrapper(t *testing.T) {
	inner := m{15: m{29: 91, 19: 60, 20: 240}, 18: m{29: 1.5, 19: 1.0, 20: 4.0}}
	bare := understood(t, getConfig(), wire.CoAPResponse{Code: dots.CodeContent, Payload: body(t, inner)})
	equal(t, understood(t, getConfig(), wire.CoAPResponse{Code: dots.CodeContent, Payload: body(t, m{14: inner})}), bare)
	sent := answered(t, getConfig(), bare)
	if top, ok := decodeAny(t, sent.Payload).(map[any]any); !ok || top[uint64(15)] == nil {
		t.Errorf("answer %x has a wrapper", sent.Payload)
	}
}

func TestInvalidIs402(t *testing.T) {
	isRefused(t, put(body(t, scope(m{3: 1, 4: a{"x"}}))), dots.CodeBadOption, "")
	isRefused(t, put(body(t, scope(m{4: a{"192.0.2.1"}}))), dots.CodeBadRequest, "")
	got := understood(t, figureRequest(), wire.CoAPResponse{Code: dots.CodeBadOption, Payload: []byte("uri: bad")})
	equal(t, got, wire.Response{Code: dots.CodeBadRequest, Diagnostic: "uri: bad"})
}

func TestUpperPortIsOptional(t *testing.T) {
	got := accepted(t, put(body(t, scope(m{3: 1, 4: a{"192.0.2.1"}, 5: a{m{6: 80}, m{6: 90, 7: 90}, m{6: 100, 7: 200}}}))))
	equal(t, got.Mitigation.Target.Ports, []dots.PortRange{{Lower: 80, Upper: 80}, {Lower: 90, Upper: 90}, {Lower: 100, Upper: 200}})
}

func TestLowerPortMayRepeat(t *testing.T) {
	got := accepted(t, put(body(t, scope(m{3: 1, 4: a{"192.0.2.1"}, 5: a{m{6: 80}, m{6: 1, 7: 2}, m{6: 80, 7: 90}, m{6: 80, 7: 85}}}))))
	equal(t, got.Mitigation.Target.Ports, []dots.PortRange{{Lower: 80, Upper: 90}, {Lower: 1, Upper: 2}})
}

func TestAttackStatusWithoutIfMatch(t *testing.T) {
	r := put(body(t, scope(m{3: 1, 4: a{"192.0.2.1"}, 13: 1})))
	without := accepted(t, r)
	r.IfMatch = true
	equal(t, accepted(t, r), without)
	if !without.Efficacy || !encoded(t, without).IfMatch {
		t.Errorf("got %+v", without)
	}
	r.Payload = body(t, scope(m{3: 1, 4: a{"192.0.2.1"}}))
	isRefused(t, r, dots.CodeBadRequest, "attack-status: missing")
}

func TestOneEntryOnly(t *testing.T) {
	isRefused(t, put(body(t, scope(m{3: 1, 4: a{"192.0.2.1"}}, m{3: 2, 4: a{"192.0.2.2"}}))), dots.CodeBadOption, "more than one entry")
	isRefused(t, wire.CoAPRequest{
		Method: wire.GET, Path: path("signal"), Format: dots.Some[uint16](60), Payload: body(t, scope(m{3: 1}, m{3: 2})),
	}, dots.CodeBadOption, "more than one entry")
}

func TestOnlyVersion1(t *testing.T) {
	for version, want := range map[string]bool{"v1": true, "v2": false, "V1": false, "version": false, "": false} {
		if got := New().Owns([]string{version, "dots-signal", "signal"}); got != want {
			t.Errorf("Owns %q: %v", version, got)
		}
	}
	if New().Owns([]string{"v1"}) || New().Owns(nil) || New().Name() != "draft04" {
		t.Error("owns what is too short")
	}
}

func TestVendorKeysIgnored(t *testing.T) {
	plain := accepted(t, put(body(t, scope(m{3: 1, 4: a{"192.0.2.1"}}))))
	got := accepted(t, put(body(t, m{1: m{2: a{m{3: 1, 4: a{"192.0.2.1"}, 32768: a{}, 65536: "x"}}}, 40000: 1})))
	equal(t, got, plain)
}
