package draft04

import (
	"errors"
	"slices"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

func goodRequests(t *testing.T) map[string]wire.CoAPRequest {
	efficacy := figureRequest()
	efficacy.Efficacy, efficacy.Mitigation.Attack = true, dots.AttackUnderAttack
	return map[string]wire.CoAPRequest{
		"mitigation": encoded(t, figureRequest()),
		"efficacy":   encoded(t, efficacy),
		"prefix":     put(body(t, scope(m{3: 1, "target-prefix": a{"198.51.100.0/24"}, 9: a{"a.example"}}))),
		"get":        encoded(t, wire.Request{Op: wire.GetMitigations, MID: dots.Some[uint32](12332)}),
		"delete":     encoded(t, wire.Request{Op: wire.DeleteMitigation, MID: dots.Some[uint32](12332)}),
		"config":     putConfig(body(t, m{14: m{26: 12345, 15: 91, 28: 3, 16: 7, 17: 5, 18: 1.5, 27: false}})),
		"get config": encoded(t, wire.Request{Op: wire.GetConfig, SID: dots.Some[uint64](7)}),
	}
}

// Every request that is cut short is refused with 4.00, and so is every one with something behind it.
func TestRequestsCutShort(t *testing.T) {
	for name, good := range goodRequests(t) {
		t.Run(name, func(t *testing.T) {
			accepted(t, good)
			for n := 1; n < len(good.Payload); n++ {
				short := good
				short.Payload = short.Payload[:n]
				isRefused(t, short, dots.CodeBadRequest, "body")
			}
			long := good
			long.Payload = append(slices.Clone(long.Payload), 0xf6)
			isRefused(t, long, dots.CodeBadRequest, "body")
		})
	}
}

// Every request with one bit changed is accepted and then said the same, or refused with a code of class 4.
func TestRequestsWithABitChanged(t *testing.T) {
	for name, good := range goodRequests(t) {
		t.Run(name, func(t *testing.T) {
			for bit := range len(good.Payload) * 8 {
				changed := good
				changed.Payload = slices.Clone(changed.Payload)
				changed.Payload[bit/8] ^= 1 << (bit % 8)
				again(t, changed)
			}
		})
	}
}

// Every answer that is cut short or changed is read or blamed on the peer that sent it.
func TestAnswersBroken(t *testing.T) {
	redirect := dots.Redirect{Server: "alt.example", Records: []string{"192.0.2.1", "2001:db8::1"}, TTLs: []uint32{60, 30}}
	for _, good := range []struct {
		name  string
		asked wire.Request
		resp  wire.Response
	}{
		{"reports", getAll(), wire.Response{Code: dots.CodeContent, Reports: fullReports()}},
		{"granted", figureRequest(), wire.Response{Code: dots.CodeCreated, Granted: dots.Some(wire.Granted{MID: 12332, Lifetime: 3600})}},
		{"config", getConfig(), wire.Response{Code: dots.CodeContent, Config: flat(dots.ConfigSet{
			HeartbeatInterval: current[uint16](91), AckTimeout: current[dots.Decimal](200), AckRandomFactor: current[dots.Decimal](150),
		})}},
		{"redirect", figureRequest(), wire.Response{Code: dots.CodeUnavailable, MaxAge: dots.Some[uint32](30), Redirect: dots.Some(redirect)}},
	} {
		t.Run(good.name, func(t *testing.T) {
			answer := answered(t, good.asked, good.resp)
			equal(t, understood(t, good.asked, answer).Code, good.resp.Code)
			for n := 1; n < len(answer.Payload); n++ {
				short := answer
				short.Payload = short.Payload[:n]
				_, err := New().DecodeResponse(good.asked, short)
				isResponseError(t, "cut short", err)
			}
			for bit := range len(answer.Payload) * 8 {
				changed := answer
				changed.Payload = slices.Clone(changed.Payload)
				changed.Payload[bit/8] ^= 1 << (bit % 8)
				againAnswer(t, good.asked, changed)
			}
		})
	}
}

// Every item of a good request replaced by an item of another type is refused.
func TestWrongTypes(t *testing.T) {
	entry := m{
		3: 1, 4: a{"198.51.100.1"}, "target-prefix": a{"198.51.100.0/24"}, 5: a{m{6: 80, 7: 90}}, 8: a{6}, 9: a{"a.example"},
		10: a{"https://a.example/"}, 11: a{"web"}, 12: 3600, 13: 1,
	}
	values := []any{nil, 1.5, "x", []byte{1}, a{}, a{nil}, a{a{}}, a{1.5}, a{[]byte{1}}, m{}, m{1: 1}, true, uint64(1) << 40, -2}
	for key := range entry {
		for _, value := range values {
			changed := m{}
			for k, v := range entry {
				changed[k] = v
			}
			changed[key] = value
			_, err := New().DecodeRequest(put(body(t, scope(changed))))
			var e *dots.Error
			if !errors.As(err, &e) || e.Code != dots.CodeBadOption {
				t.Errorf("%v with %v: error %v", key, value, err)
			}
		}
	}
}
