package front

import (
	"slices"
	"testing"
	"testing/synctest"

	"github.com/pion/dtls/v3"

	"github.com/dotsgate/dotsgate/internal/udp"
)

// TestForesee: those whom a batch is for are found before, by address and by connection ID; strangers and hellos are nobody, and several in a row one. Sessions
// of both record paths, and those that have ended, are asked for without harm, and go on.
func TestForesee(t *testing.T) {
	withBoth(t, func(t *testing.T, path func(*Config)) {
		var told []any
		h := newHouse(t, path, func(c *Config) { c.Ahead = func(owner any) { told = append(told, owner) } })
		defer h.close(t)
		a, sa := h.client(t, clientAddr(1001))
		echo(t, a, "a")
		ca := <-h.conns
		b, _ := h.client(t, clientAddr(1002), dtls.WithConnectionIDGenerator(dtls.OnlySendCIDGenerator()))
		echo(t, b, "b")
		cb := <-h.conns
		ca.SetOwner("owner of a")
		id := cb.id.Load()
		if id == nil {
			t.Fatal("no connection ID")
		}
		at := func(port uint16, b ...byte) udp.Datagram {
			return udp.Datagram{Data: b, From: udp.Path{Peer: clientAddr(port)}}
		}
		byID := append([]byte{recordTypeCID, 254, 253, 0, 1, 0, 0, 0, 0, 0, 9}, id[:]...)
		byID = append(byID, 0, 1, 7)
		hello := []byte{recordTypeHello, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, typeClientHello}
		batch := []udp.Datagram{
			at(1001, 23), at(1001, 23), at(1999, 23), at(1003, byID...), at(1001, hello...), at(1001), at(1002, 23), at(1001, 23),
		}
		got := h.front.recipients(batch, make([]*Conn, 0, aheadMost))
		if !slices.Equal(got, []*Conn{ca, cb, ca}) {
			t.Errorf("a batch for %p, %p and %p again is for %p", ca, cb, ca, got)
		}
		if got := h.front.recipients(batch, make([]*Conn, 0, 1)); !slices.Equal(got, []*Conn{ca}) {
			t.Errorf("with room for one: %p", got)
		}
		h.front.foresee(batch)
		if !slices.Equal(told, []any{"owner of a", "owner of a"}) {
			t.Errorf("told: %v", told)
		}
		if told = nil; len(told) == 0 {
			h.front.foresee(batch[:3])
		}
		if len(told) != 0 {
			t.Errorf("told for one session alone: %v", told)
		}
		echo(t, a, "a again")
		echo(t, b, "b again")
		_ = b.Close()
		synctest.Wait()
		h.front.foresee(batch)
		echo(t, a, "and again")
		_, _ = a.Close(), sa.Close()
		synctest.Wait()
		h.front.foresee(batch)
		_, _ = ca.Close(), cb.Close()
	})
}
