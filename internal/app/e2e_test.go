package app

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/internal/config"
	"github.com/dotsgate/dotsgate/wire"
	"github.com/dotsgate/dotsgate/wire/draft04"
)

// TestMitigation plays a mitigation from beginning to end through a whole gateway, over each transport on each side.
//
// RFC 9132, Section 4.4: request, retrieval, observation, efficacy update, refresh and withdrawal.
func TestMitigation(t *testing.T) {
	for _, tt := range []struct {
		client, uplink string
	}{
		{coap.NetworkUDP, config.TransportDTLS},
		{coap.NetworkTCP, config.TransportDTLS},
		{coap.NetworkUDP, config.TransportTLS},
	} {
		t.Run(tt.client+" to "+tt.uplink, func(t *testing.T) {
			t.Parallel()
			pki := newPKI(t)
			up := startUpstream(t, pki, network(tt.uplink), "127.0.0.1:0")
			gw := startGateway(t, writeGatewayFile(t, pki, up.address(), tt.uplink, ""))
			gw.awaitUplink(t, true)
			for _, a := range gw.Addrs() {
				if networkOf(a) == tt.client {
					playMitigation(t, connect(t, pki, "client1", a), up)
				}
			}
		})
	}
}

func playMitigation(t *testing.T, c *testClient, up *upstreamServer) {
	created := c.must(t, dots.CodeCreated, put(7, 300, "192.0.2.1/32"))
	if diff := cmp.Diff(dots.Some(wire.Granted{MID: 7, Lifetime: 300}), created.Granted); diff != "" {
		t.Errorf("granted (-want +got):\n%s", diff)
	}
	asked := lastPut(t, up)
	if asked.mid == 7 || asked.cuid == c.cuid || asked.hopLimit != 15 {
		t.Errorf("the client's own names went upstream, or the hop limit is wrong: %+v", asked)
	}
	if diff := cmp.Diff(put(7, 300, "192.0.2.1/32").Mitigation.Target.Prefixes[0].String(), asked.target.Prefixes[0].String()); diff != "" {
		t.Errorf("target upstream (-want +got):\n%s", diff)
	}

	statuses := c.watch(t, 7)
	up.setStatus(dots.StatusMitigated)
	awaitStatus(t, statuses, dots.StatusMitigated)

	efficacy := put(7, 300, "192.0.2.1/32")
	efficacy.Efficacy, efficacy.Mitigation.Attack = true, dots.AttackUnderAttack
	c.must(t, dots.CodeChanged, efficacy)
	up.await(t, "the efficacy update", func() bool { return slices.ContainsFunc(up.log, func(s seen) bool { return s.efficacy }) })

	refreshed := c.must(t, dots.CodeChanged, put(7, 600, "192.0.2.1/32"))
	if refreshed.Granted.Value.Lifetime != 600 {
		t.Errorf("refresh granted %+v, want a lifetime of 600", refreshed.Granted)
	}

	up.change(func() { up.lingers = true })
	c.must(t, dots.CodeDeleted, remove(7))
	up.await(t, "the withdrawal", func() bool { return up.count(wire.DeleteMitigation) > 0 })
	// RFC 9132, Section 4.4.4: active but terminating, then terminated, then unknown.
	awaitStatus(t, statuses, dots.StatusClientWithdrawn)
	up.settle()
	awaitStatus(t, statuses, dots.StatusTerminated)
	eventually(t, "4.04 after the end", func() error {
		if s, err := c.statusOf(t.Context(), 7); s != 0 || err != nil {
			return fmt.Errorf("status %v, %w", s, err)
		}
		return nil
	})
	c.must(t, dots.CodeDeleted, remove(7)) // RFC 9132, Section 4.4.4: an unknown mid is answered 2.02 too
}

// lastPut returns the newest mitigation request that the upstream server saw.
func lastPut(t testing.TB, up *upstreamServer) seen {
	t.Helper()
	log := up.seen()
	for i := len(log) - 1; i >= 0; i-- {
		if log[i].op == wire.PutMitigation {
			return log[i]
		}
	}
	t.Fatal("no mitigation request reached the upstream server")
	return seen{}
}

// TestOlderDialect lets a client of the older dialect and one of the standard's see the same uplink, each in its own words.
func TestOlderDialect(t *testing.T) {
	t.Parallel()
	pki := newPKI(t)
	up := startUpstream(t, pki, coap.NetworkUDP, "127.0.0.1:0")
	gw := startGateway(t, writeGatewayFile(t, pki, up.address(), config.TransportDTLS, ""))
	gw.awaitUplink(t, true)
	old, other := connect(t, pki, "client1", gw.Addrs()[0]), connect(t, pki, "client2", gw.Addrs()[0])
	old.profile, old.cuid = draft04.New(), "" // it has none
	old.must(t, dots.CodeCreated, put(5, 300, "192.0.2.1/32"))
	other.must(t, dots.CodeCreated, put(5, 300, "192.0.2.2/32"))
	if r := old.must(t, dots.CodeContent, get(5)).Reports[0]; r.Target.Prefixes[0].String() != "192.0.2.1/32" {
		t.Errorf("the older client is shown %v", r.Target.Prefixes)
	}
	old.must(t, dots.CodeDeleted, remove(5))
	up.await(t, "what is left", func() bool { return len(up.prefixes()) == 1 && up.prefixes()[0].String() == "192.0.2.2/32" })
	if s, err := other.statusOf(t.Context(), 5); s != dots.StatusInProgress || err != nil {
		t.Errorf("the other client's mitigation has status %v, %v", s, err)
	}
	// The listener over TLS does not speak it.
	tls := connect(t, pki, "client1", gw.Addrs()[1])
	tls.profile, tls.cuid = draft04.New(), ""
	tls.must(t, dots.CodeNotFound, put(6, 300, "192.0.2.3/32"))
}

// TestBadInput sends what must be refused, and sees that a session survives it and nothing of it goes upstream.
func TestBadInput(t *testing.T) {
	t.Parallel()
	pki := newPKI(t)
	up := startUpstream(t, pki, coap.NetworkUDP, "127.0.0.1:0")
	gw := startGateway(t, writeGatewayFile(t, pki, up.address(), config.TransportDTLS, ""))
	gw.awaitUplink(t, true)
	path := []string{".well-known", "dots", "mitigate", "cuid=c", "mid=1"}
	for _, tt := range []struct {
		name    string
		code    coap.Code
		path    []string
		format  int // less than 0: none
		payload []byte
		want    coap.Code
	}{
		{"no CBOR", coap.PUT, path, 271, []byte{0xff}, coap.BadRequest},
		{"an empty body", coap.PUT, path, 271, nil, coap.BadRequest},
		{"another format", coap.PUT, path, 50, []byte("{}"), coap.UnsupportedContentFormat},
		{"deep nesting", coap.PUT, path, 271, bytesOf(0x81, 1000), coap.BadRequest},
		{"a long array announced", coap.PUT, path, 271, []byte{0x9b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, coap.BadRequest},
		{"a mid too great", coap.PUT, append(path[:4:4], "mid=4294967296"), 271, []byte{0xa0}, coap.BadRequest},
		{"no mid", coap.PUT, path[:4], 271, []byte{0xa0}, coap.BadRequest},
		{"no resource", coap.GET, []string{"nowhere"}, -1, nil, coap.NotFound},
		{"no method", coap.POST, path, 271, []byte{0xa0}, coap.MethodNotAllowed},
	} {
		for _, a := range gw.Addrs() {
			t.Run(tt.name+" over "+networkOf(a), func(t *testing.T) {
				c := connect(t, pki, "client1", a)
				m := &coap.Message{Code: tt.code, Payload: tt.payload}
				m.Options.SetPath(tt.path...)
				if tt.format >= 0 {
					m.Options.AddUint(coap.ContentFormat, uint32(tt.format))
				}
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				answer, err := c.session.Do(ctx, m)
				if err != nil {
					t.Fatal(err)
				}
				if answer.Code != tt.want || len(answer.Payload) == 0 || len(answer.Payload) > dots.MaxDiagnostic {
					t.Errorf("answered %v with a diagnostic of %d bytes, want %v with 1 to %d bytes",
						answer.Code, len(answer.Payload), tt.want, dots.MaxDiagnostic)
				}
				c.must(t, dots.CodeNotFound, get(9))
			})
		}
	}
	c := connect(t, pki, "client2", gw.Addrs()[0])
	c.must(t, dots.CodeBadRequest, put(1, 300, "203.0.113.1/32")) // not the domain's own
	for _, s := range up.seen() {
		if s.op == wire.PutMitigation {
			t.Errorf("refused, but asked for upstream: %+v", s)
		}
	}
}

func bytesOf(b byte, n int) []byte {
	all := make([]byte, n)
	for i := range all {
		all[i] = b
	}
	return all
}
