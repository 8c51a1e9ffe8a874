package resilience

import (
	"encoding/binary"

	"github.com/dotsgate/dotsgate/wire"
	"github.com/dotsgate/dotsgate/wire/rfc9132"
	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/message/codes"
	"github.com/plgd-dev/go-coap/v3/udp/coder"
)

// coapHeader is the length of a message's header (RFC 7252, Section 3).
const coapHeader = 4

// heartbeat is a heartbeat as RFC 9132, Section 4.7 has it, non-confirmable; its token is the number.
func heartbeat(n uint32) []byte {
	out, err := rfc9132.New().EncodeRequest(wire.Request{Op: wire.PutHeartbeat, PeerHB: true})
	if err != nil {
		panic(err) // it is our own and can be said
	}
	m := message.Message{
		Code: codes.Code(out.Method), Type: message.NonConfirmable, MessageID: int32(uint16(n)),
		Token: binary.BigEndian.AppendUint32(nil, n), Payload: out.Payload,
	}
	for _, p := range out.Path {
		m.Options = m.Options.Add(message.Option{ID: message.URIPath, Value: []byte(p)})
	}
	if out.Format.Set {
		m.Options = m.Options.Add(message.Option{ID: message.ContentFormat, Value: binary.BigEndian.AppendUint16(nil, out.Format.Value)})
	}
	b := make([]byte, 512)
	used, err := coder.DefaultCoder.Encode(m, b)
	if err != nil {
		panic(err) // as above
	}
	return b[:used]
}

// answerTo says 2.04 to a request, confirmed when it asks for that.
func answerTo(request, token []byte) []byte {
	const nonConfirmable, acknowledgement, changed = 0x50, 0x60, 2<<5 | 4
	first := byte(nonConfirmable)
	if request[0]&0x30 == 0 {
		first = acknowledgement
	}
	return append([]byte{first | byte(len(token)), changed, request[2], request[3]}, token...)
}
