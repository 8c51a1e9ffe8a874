package rfc9132

import (
	"errors"
	"slices"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

// message is a good message of a kind, as a request or as an answer.
type message struct {
	name    string
	request wire.CoAPRequest
	asked   wire.Request
	answer  wire.CoAPResponse
}

func goodRequests(t *testing.T) []message {
	efficacy := fullRequest()
	efficacy.Efficacy, efficacy.Mitigation.Attack, efficacy.Mitigation.ACLs = true, dots.AttackUnderAttack, nil
	return []message{
		{name: "mitigation", request: encoded(t, fullRequest())},
		{name: "efficacy", request: encoded(t, efficacy)},
		{name: "config", request: encoded(t, wire.Request{Op: wire.PutConfig, SID: dots.Some[uint64](1), Config: fullConfig()})},
		{name: "heartbeat", request: encoded(t, wire.Request{Op: wire.PutHeartbeat})},
		{name: "redirect", request: encoded(t, wire.Request{Op: wire.PutRedirect, Redirect: dots.Redirect{
			Server: "alt.example", Records: []string{"192.0.2.1"}, TTLs: []uint32{60},
		}})},
	}
}

func goodAnswers(t *testing.T) []message {
	config := wire.Request{Op: wire.GetConfig}
	granted := wire.Response{Code: dots.CodeCreated, Granted: dots.Some(wire.Granted{MID: 123, Lifetime: 3600}), Conflict: fullReports()[0].Conflict}
	return []message{
		{name: "reports", asked: getAll(), answer: answered(t, getAll(), wire.Response{Code: dots.CodeContent, Reports: fullReports()})},
		{name: "granted", asked: figureRequest(), answer: answered(t, figureRequest(), granted)},
		{name: "config", asked: config, answer: answered(t, config, wire.Response{Code: dots.CodeContent, Config: fullConfig()})},
	}
}

// Every request that is cut short is refused with 4.00, and so is every one with something behind it.
func TestRequestsCutShort(t *testing.T) {
	for _, good := range goodRequests(t) {
		t.Run(good.name, func(t *testing.T) {
			accepted(t, good.request)
			for n := range good.request.Payload {
				short := good.request
				short.Payload = short.Payload[:n]
				isRefused(t, short, dots.CodeBadRequest, "body")
			}
			long := good.request
			long.Payload = append(slices.Clone(long.Payload), 0xf6)
			isRefused(t, long, dots.CodeBadRequest, "body")
		})
	}
}

// Every request with one bit changed is accepted and then said the same, or refused with a code of class 4.
func TestRequestsWithABitChanged(t *testing.T) {
	for _, good := range goodRequests(t) {
		t.Run(good.name, func(t *testing.T) {
			for bit := range len(good.request.Payload) * 8 {
				changed := good.request
				changed.Payload = slices.Clone(changed.Payload)
				changed.Payload[bit/8] ^= 1 << (bit % 8)
				again(t, changed)
			}
		})
	}
}

// Every answer that is cut short or changed is read or blamed on the peer that sent it.
func TestAnswersBroken(t *testing.T) {
	for _, good := range goodAnswers(t) {
		t.Run(good.name, func(t *testing.T) {
			understood(t, good.asked, good.answer)
			for n := 1; n < len(good.answer.Payload); n++ {
				short := good.answer
				short.Payload = short.Payload[:n]
				_, err := New().DecodeResponse(good.asked, short)
				isResponseError(t, "cut short", err)
			}
			for bit := range len(good.answer.Payload) * 8 {
				changed := good.answer
				changed.Payload = slices.Clone(changed.Payload)
				changed.Payload[bit/8] ^= 1 << (bit % 8)
				againAnswer(t, good.asked, changed)
			}
		})
	}
}

// Every item of a good request replaced by an item of another type is refused by the name of the attribute.
func TestWrongTypes(t *testing.T) {
	entry := m{
		6: a{"198.51.100.0/24"}, 7: a{m{8: 80, 9: 90}}, 10: a{6}, 11: a{"a.example"}, 12: a{"https://a.example/"}, 13: a{"web"},
		14: 3600, 45: true, 53: a{m{23: "l", 52: 1}}, 32768: a{"192.0.2.0/24"}, 32769: a{m{8: 1}}, 32770: a{m{32771: 1}},
	}
	values := []any{nil, 1.5, "x", []byte{1}, a{}, a{nil}, a{a{}}, a{1.5}, a{[]byte{1}}, m{}, m{1: 1}, true, uint64(1) << 40, -2}
	for key, right := range entry {
		for _, value := range values {
			if _, boolean := right.(bool); boolean && value == true {
				continue
			}
			changed := m{}
			for k, v := range entry {
				changed[k] = v
			}
			changed[key] = value
			_, err := New().DecodeRequest(put(body(t, scope(changed))))
			var e *dots.Error
			if !errors.As(err, &e) || e.Code != dots.CodeBadRequest {
				t.Errorf("%v with %v: error %v", key, value, err)
			}
		}
	}
}
