package front

import (
	"net/netip"
	"testing"
	"time"

	"github.com/pion/dtls/v3"

	"github.com/dotsgate/dotsgate/internal/udp"
)

// moving makes a client that asks for a connection ID.
func moving() dtls.ClientOption { return dtls.WithConnectionIDGenerator(dtls.OnlySendCIDGenerator()) }

// movedHouse tells of each move.
func movedHouse(t *testing.T, change ...func(*Config)) (*house, <-chan netip.AddrPort) {
	t.Helper()
	moves := make(chan netip.AddrPort, 16)
	return newHouse(t, append(change, func(c *Config) {
		c.Moved = func(_ *Conn, to netip.AddrPort) { moves <- to }
	})...), moves
}

// TestClientMoves: RFC 9146, Section 6: a peer with a connection ID may change its address, and needs none in the table.
func TestClientMoves(t *testing.T) {
	for name, network := range paths() {
		t.Run(name, func(t *testing.T) {
			withBoth(t, func(t *testing.T, path func(*Config)) {
				h, moves := movedHouse(t, path)
				defer h.close(t)
				h.lose(network.toServer, network.toClient)
				c, s := h.client(t, clientAddr(1), moving())
				h.wantKnown(t, 0, 1)
				echo(t, c, "before")
				for port := range uint16(6) {
					s.move(clientAddr(10 + port))
					echoAgain(t, c)
					if to := <-moves; to != clientAddr(10+port) {
						t.Errorf("moved to %v", to)
					}
					conn := h.only(t)
					if got := conn.RemoteAddr().String(); got != clientAddr(10+port).String() {
						t.Errorf("the peer is at %s", got)
					}
				}
				h.wantKnown(t, 0, 1)
				_ = c.Close()
				<-h.ended
				h.wantKnown(t, 0, 0)
			})
		})
	}
}

// echoAgain is echo for a session that is the library's: it hands data on before it takes note of the address that they came
// from, so that the first answer may go to the old one.
func echoAgain(t *testing.T, c *dtls.Conn) {
	t.Helper()
	buf := make([]byte, 100)
	for range 3 {
		if _, err := c.Write([]byte("again")); err != nil {
			t.Fatal(err)
		}
		_ = c.SetReadDeadline(time.Now().Add(time.Second))
		if n, err := c.Read(buf); err == nil && string(buf[:n]) == "again" {
			return
		}
	}
	t.Fatal("no answer")
}

// only is the only connection that has a connection ID.
func (h *house) only(t *testing.T) (c *Conn) {
	t.Helper()
	for i := range h.front.table.byID {
		shard := &h.front.table.byID[i]
		shard.mu.Lock()
		for _, c = range shard.conns {
			break
		}
		shard.mu.Unlock()
	}
	if c == nil {
		t.Fatal("no connection ID is known")
	}
	return c
}

// TestForgedMove: a record that is forged, or replayed from elsewhere, moves nobody.
func TestForgedMove(t *testing.T) {
	withBoth(t, func(t *testing.T, path func(*Config)) {
		h, moves := movedHouse(t, path)
		defer h.close(t)
		var last []byte
		h.lose(func(b []byte) int {
			last = append([]byte(nil), b...)
			return 1
		}, nil)
		c, _ := h.client(t, clientAddr(1), moving())
		echo(t, c, "ping")
		genuine := last
		for range 3 {
			h.inject(genuine, clientAddr(66))
			h.inject(changed(genuine, len(genuine)-1, genuine[len(genuine)-1]^1), clientAddr(66))
			h.inject(changed(genuine, recordNumberAt+7, genuine[recordNumberAt+7]+9), clientAddr(66))
			echo(t, c, "pong")
		}
		if len(moves) > 0 || h.counters.Moves.Load() > 0 {
			t.Errorf("moved to %v", <-moves)
		}
		_ = c.Close()
		<-h.ended
	})
}

// TestUnconfirmed: to an address that has not been confirmed at most three times as much is sent as came from there.
func TestUnconfirmed(t *testing.T) {
	withBoth(t, func(t *testing.T, path func(*Config)) {
		h, moves := movedHouse(t, path)
		defer h.close(t)
		c, s := h.client(t, clientAddr(1), moving())
		echo(t, c, "before")
		conn := h.only(t)
		s.move(clientAddr(2))
		echoAgain(t, c)
		to := <-moves
		for range 20 {
			if err := conn.Write(make([]byte, 20)); err != nil {
				t.Fatal(err)
			}
		}
		if sent, received := h.bytes(to); sent > 3*received || sent < received {
			t.Errorf("%d bytes were sent to an address that %d came from", sent, received)
		}
		if h.counters.Unconfirmed.Load() == 0 {
			t.Error("nothing is counted")
		}
		conn.Confirm(clientAddr(1)) // where it was before
		if sent := total(h.sentSince(0)); conn.Write(make([]byte, 500)) != nil || total(h.sentSince(0)) != sent {
			t.Error("the wrong address was confirmed")
		}
		conn.Confirm(to)
		if sent := total(h.sentSince(0)); conn.Write(make([]byte, 500)) != nil || total(h.sentSince(0)) < sent+500 {
			t.Error("nothing is sent though the address is confirmed")
		}
		_ = c.Close()
		<-h.ended
	})
}

func total(datagrams [][]byte) (n int) {
	for _, b := range datagrams {
		n += len(b)
	}
	return n
}

// TestQueueFollows: what a peer gets leaves by the queue that its datagrams come by, and from the address that they came to.
func TestQueueFollows(t *testing.T) {
	n := newMemNet()
	f := newFront(Config{Network: n})
	at := udp.Path{Peer: clientAddr(1), Local: netip.MustParseAddr("192.0.2.9")}
	f.greet(n, provenHello(f, at.Peer), at)
	c, err := f.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c.association.Load().write(t, plain(22, 2))
	other := newMemNet()
	f.route(other, protected(22, 1, 2, 3), at)
	if r := c.route.Load(); r.via != other || r.to != at {
		t.Errorf("the route is %+v", r)
	}
	if got := c.LocalAddr().String(); got != "192.0.2.9:4646" {
		t.Errorf("LocalAddr() = %s", got)
	}
	f.route(n, protected(22, 1, 2, 3), udpPath(1)) // the same peer, at another address of ours
	if got := f.counters.Strangers.Load(); got != 1 {
		t.Errorf("%d strangers, want 1", got)
	}
	_ = c.Close()
}

// TestTrialCountsBothWays: bytes that come make room for three times as many.
func TestTrialCountsBothWays(t *testing.T) {
	n := newMemNet()
	c := &Conn{front: newFront(Config{Network: n})}
	c.route.Store(&route{via: n, to: udpPath(1)})
	c.moveTo(n, udpPath(2), 10)
	c.moveTo(n, udpPath(2), 1000) // it is there already
	for _, step := range []struct {
		heard, send int
		want        bool
	}{{0, 30, true}, {0, 1, false}, {1, 3, true}, {0, 1, false}, {100, 301, false}, {0, 300, true}} {
		if step.heard > 0 {
			c.heardOn(n, udpPath(2), step.heard)
			c.heardOn(n, udpPath(1), 1<<20) // elsewhere counts for nothing
		}
		before := len(n.sentSince(0))
		if c.send(make([]byte, step.send)); (len(n.sentSince(0)) > before) != step.want {
			t.Errorf("%+v: sent = %v", step, !step.want)
		}
	}
}
