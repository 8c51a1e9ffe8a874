package rfc9132

import (
	"testing"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

func putHeartbeat(payload []byte) wire.CoAPRequest {
	return wire.CoAPRequest{Method: wire.PUT, Path: path("hb"), Format: dots.Some[uint16](271), Payload: payload}
}

func TestHeartbeat(t *testing.T) {
	// RFC 9132, Section 4.7: the body that every known peer sends.
	req := wire.Request{Op: wire.PutHeartbeat, PeerHB: true}
	got := encoded(t, req)
	equal(t, got, putHeartbeat(unhex(t, "A1 18 31 A1 18 33 F5")))
	equal(t, accepted(t, got), req)
	req.PeerHB = false
	equal(t, encoded(t, req).Payload, unhex(t, "A1 18 31 A1 18 33 F4"))
	equal(t, accepted(t, encoded(t, req)), req)
}

func TestHeartbeatRefused(t *testing.T) {
	for _, tt := range []struct {
		body any
		text string
	}{
		{m{}, "heartbeat: missing"},
		{m{49: m{}}, "peer-hb-status: missing"},
		{m{49: true}, "heartbeat: not a map"},
		{m{49: m{51: 1}}, "peer-hb-status: not a boolean"},
		{m{49: m{51: nil}}, "peer-hb-status: not a boolean"},
		{m{49: m{51: true, 4: "c"}}, "cuid: not allowed here"},
		{m{49: m{51: true}, 5: 1}, "mid: not allowed here"},
		{m{49: m{51: true, 90: 1}}, "unknown keys: 90"},
	} {
		isRefused(t, putHeartbeat(body(t, tt.body)), dots.CodeBadRequest, tt.text)
	}
}
