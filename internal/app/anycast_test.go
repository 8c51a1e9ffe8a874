package app

import (
	"slices"
	"strings"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/internal/config"
	"github.com/dotsgate/dotsgate/wire"
	"github.com/dotsgate/dotsgate/wire/rfc9132"
)

// TestAnycast comes in by an address that nodes share: the client is sent to the node's own, and served there.
//
// RFC 8811, Section 3.2.4; RFC 9132, Section 4.6.
func TestAnycast(t *testing.T) {
	t.Parallel()
	pki := newPKI(t)
	up := startUpstream(t, pki, coap.NetworkUDP, "127.0.0.1:0")
	text := strings.Replace(gatewayText(pki, up.address(), config.TransportDTLS, ""), "listeners:", `listeners:
  - {address: "127.0.0.1:0", transport: dtls, profiles: [rfc9132], anycast: true}`, 1)
	text = strings.Replace(text, "node: {id: gw.lab.example}", "node: {id: gateway.lab.example, unicast: [127.0.0.1]}", 1)
	gw := startGateway(t, writeText(t, text))
	gw.awaitUplink(t, true)

	shared := connect(t, pki, "client1", gw.Addrs()[0])
	for _, req := range []wire.Request{put(1, 300, "192.0.2.1/32"), get(1), remove(1)} {
		to := shared.must(t, dots.CodeUnavailable, req).Redirect
		if !to.Set || to.Value.Server != "gateway.lab.example" || !slices.Equal(to.Value.Records, []string{"127.0.0.1"}) {
			t.Errorf("op %v is sent to %+v", req.Op, to)
		}
	}
	r, err := rfc9132.New().EncodeRequest(wire.Request{Op: wire.PutHeartbeat, PeerHB: true})
	if err != nil {
		t.Fatal(err)
	}
	beat := &coap.Message{Code: coap.Code(r.Method), Payload: r.Payload, NonConfirmable: true}
	beat.Options.SetPath(r.Path...)
	beat.Options.AddUint(coap.ContentFormat, uint32(r.Format.Value))
	if answer, err := shared.session.Do(t.Context(), beat); err != nil || answer.Code != coap.Changed {
		t.Errorf("a heartbeat is answered %v, %v", answer, err)
	}
	own := connect(t, pki, "client1", gw.Addrs()[1])
	own.must(t, dots.CodeNotFound, get(1))
	own.must(t, dots.CodeCreated, put(2, 300, "192.0.2.2/32"))
	up.awaitCover(t, "192.0.2.2/32")
}
