package front

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/dtls/v3"
)

// vanish makes a client forget its session without a word.
func vanish(c *dtls.Conn, s *memSocket) {
	s.silence()
	_ = c.Close()
}

// TestClientRestarts: RFC 6347, Section 4.2.8: a client that lost its state comes back from the same address. Its old session
// ends without a word, and only when the new handshake is over.
func TestClientRestarts(t *testing.T) {
	for name, network := range paths() {
		t.Run(name, func(t *testing.T) {
			withBoth(t, func(t *testing.T, path func(*Config)) {
				h := newHouse(t, path)
				defer h.close(t)
				first, s := h.client(t, clientAddr(1))
				echo(t, first, "ping")
				vanish(first, s)
				h.lose(network.toServer, network.toClient)
				before := len(h.sentSince(0))
				second, _ := h.client(t, clientAddr(1))
				if err := <-h.ended; !errors.Is(err, io.EOF) {
					t.Errorf("the old session ended with %v", err)
				}
				wantNumbersOnce(t, h.sentSince(before))
				echo(t, second, "pong")
				h.wantKnown(t, 1, 0)
				_ = second.Close()
				<-h.ended
				h.wantKnown(t, 0, 0)
			})
		})
	}
}

// TestFlightOfAnotherLife: what a client repeats of its handshake before may come in behind its new hello, since hellos have a queue
// of their own. Before the new hello is answered nothing can belong to it, and the handshake is none the worse.
func TestFlightOfAnotherLife(t *testing.T) {
	withBoth(t, func(t *testing.T, path func(*Config)) {
		h := newHouse(t, path)
		defer h.close(t)
		var flight [][]byte
		h.lose(func(b []byte) int {
			if b[0] == recordTypeHello && !looksLikeHello(b) {
				flight = append(flight, bytes.Clone(b))
			}
			return 1
		}, nil)
		first, s := h.client(t, clientAddr(1))
		echo(t, first, "ping")
		vanish(first, s)
		h.lose(nil, nil)
		slots := h.front.pending.slots
		for range cap(slots) {
			slots <- struct{}{}
		}
		var second *dtls.Conn
		done := make(chan error)
		go func() {
			var err error
			second, err = h.dial(h.socket(clientAddr(1)), h.clientOptions())
			done <- err
		}()
		synctest.Wait()
		if h.front.table.at(udpPath(1)).pending == nil || len(flight) == 0 {
			t.Fatalf("the second handshake has not begun, or nothing of the first is there: %d datagrams", len(flight))
		}
		for range 2 * maxFedProtected {
			for _, b := range flight {
				h.inject(b, clientAddr(1))
			}
		}
		synctest.Wait()
		for range cap(slots) {
			<-slots
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		<-h.ended // the first life
		echo(t, second, "pong")
		if n := h.counters.Overfed.Load(); n != 0 {
			t.Errorf("%d datagrams counted against the new handshake", n)
		}
		_ = second.Close()
		<-h.ended
	})
}

// TestForgedRestart: hellos that prove nothing never touch a session, and a proven one ends nothing by itself.
func TestForgedRestart(t *testing.T) {
	withBoth(t, func(t *testing.T, path func(*Config)) {
		h := newHouse(t, path)
		defer h.close(t)
		c, _ := h.client(t, clientAddr(1))
		echo(t, c, "before")
		for i := range byte(20) {
			h.inject(clientHello(0, 0, [randomSize]byte{i}, nil), clientAddr(1))
			h.inject(clientHello(1, 1, [randomSize]byte{i}, make([]byte, cookieSize)), clientAddr(1))
		}
		echo(t, c, "unproven")
		if p := h.front.table.at(udpPath(1)); p.pending != nil || p.established == nil {
			t.Errorf("the address has %+v", p)
		}
		// Somebody at the same address who hears its answers, but has no key.
		h.inject(provenHello(h.front, clientAddr(1)), clientAddr(1))
		echo(t, c, "proven")
		if p := h.front.table.at(udpPath(1)); p.pending == nil || p.established == nil {
			t.Errorf("the address has %+v", p)
		}
		h.inject(provenHello(h.front, clientAddr(1)), clientAddr(1)) // and begins anew
		if err := <-h.failures; !errors.Is(err, ErrReplaced) {
			t.Errorf("the first attempt ended with %v", err)
		}
		start := time.Now()
		<-h.failures // the second attempt's time is up
		if wait := time.Since(start); wait > time.Minute {
			t.Errorf("it took %v", wait)
		}
		echo(t, c, "after")
		h.wantKnown(t, 1, 0)
		_ = c.Close()
		<-h.ended
	})
}

// TestOldOneEndsFirst: the attempt keeps the address when the session there ends.
func TestOldOneEndsFirst(t *testing.T) {
	withBoth(t, func(t *testing.T, path func(*Config)) {
		h := newHouse(t, path)
		defer h.close(t)
		c, _ := h.client(t, clientAddr(1))
		echo(t, c, "ping") // the server knows too that the handshake is over
		h.inject(provenHello(h.front, clientAddr(1)), clientAddr(1))
		synctest.Wait()
		_ = c.Close()
		<-h.ended
		h.wantKnown(t, 1, 0)
		<-h.failures
		h.wantKnown(t, 0, 0)
	})
}

// TestLateHello: the hello that a session began with, once more, opens nothing; and none does whose handshake is under way.
func TestLateHello(t *testing.T) {
	withBoth(t, func(t *testing.T, path func(*Config)) {
		h := newHouse(t, path)
		defer h.close(t)
		var late []byte
		h.lose(func(b []byte) int {
			if repeated(b) {
				late = append([]byte(nil), b...)
			}
			return 1
		}, nil)
		c, _ := h.client(t, clientAddr(1))
		h.lose(nil, nil)
		h.inject(late, clientAddr(1))
		echo(t, c, "ping")
		if got := h.counters.Proven.Load(); got != 1 {
			t.Errorf("%d handshakes were begun, want 1", got)
		}
		_ = c.Close()
		<-h.ended
	})
}

// TestHelloOutlivesItsCookie: a repeated hello belongs to its handshake, though its cookie is too old by then.
func TestHelloOutlivesItsCookie(t *testing.T) {
	withBoth(t, func(t *testing.T, path func(*Config)) {
		h := newHouse(t, path)
		defer h.close(t)
		hello := provenHello(h.front, clientAddr(1))
		h.inject(hello, clientAddr(1))
		synctest.Wait()
		began := len(h.sentSince(0))
		time.Sleep(50 * time.Second) // the handshake still has ten
		h.front.cookies.now = func() time.Time { return time.Now().Add(time.Hour) }
		before := len(h.sentSince(0))
		if before <= began {
			t.Error("the library repeats nothing by itself")
		}
		h.inject(hello, clientAddr(1))
		synctest.Wait()
		if got := h.counters.Verified.Load(); got != 0 {
			t.Errorf("%d cookies were asked for", got)
		}
		<-h.failures
		h.inject(hello, clientAddr(1))
		synctest.Wait()
		if got := h.counters.Verified.Load(); got != 1 {
			t.Errorf("%d cookies were asked for at the end, want 1", got)
		}
	})
}
