package front

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/pion/dtls/v3"

	"github.com/dotsgate/dotsgate/internal/record"
	"github.com/dotsgate/dotsgate/internal/udp"
)

// byHand is a client whose records the test seals, once the library has done its handshake.
type byHand struct {
	*record.Layer
	*memSocket
	h *house
}

func (h *house) byHand(t *testing.T, at netip.AddrPort, options ...dtls.ClientOption) *byHand {
	t.Helper()
	c, s := h.client(t, at, options...)
	state, _ := c.ConnectionState()
	s.silence() // the library's
	exported, err := record.Export(&state)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	own := h.socket(at)
	layer, err := record.New(exported)
	if err != nil {
		t.Fatal(err)
	}
	return &byHand{layer, own, h}
}

func (c *byHand) seal(t *testing.T, kind record.ContentType, plain string) []byte {
	t.Helper()
	b, err := c.Seal(nil, kind, []byte(plain))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// answers is what has been sent to the client since the last call: the type as a first byte, and the text.
func (c *byHand) answers(t *testing.T) (texts []string) {
	t.Helper()
	synctest.Wait()
	for {
		select {
		case d := <-c.in:
			kind, plain, _, err := c.Open(d.data)
			if err != nil {
				t.Fatalf("the answer cannot be opened: %v", err)
			}
			texts = append(texts, string(byte(kind))+string(plain))
		default:
			return texts
		}
	}
}

// TestRenegotiation: RFC 5246, Section 7.2.2: it is refused by a sealed warning, and the session lives on.
func TestRenegotiation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newOwnHouse(t)
		defer h.close(t)
		c := h.byHand(t, clientAddr(1))
		h.inject(c.seal(t, record.ApplicationData, "first"), clientAddr(1))
		synctest.Wait() // the library would take the rest for the client's last flight
		hello := "\x01" + strings.Repeat("\x00", 11)
		h.inject(append(c.seal(t, record.Handshake, hello), c.seal(t, record.ApplicationData, "second")...), clientAddr(1))
		h.inject(c.seal(t, record.Handshake, "\x14"+strings.Repeat("\x00", 11)), clientAddr(1)) // Finished
		want := []string{"\x17first", "\x15\x01\x64", "\x17second"}
		if got := c.answers(t); !slices.Equal(got, want) {
			t.Errorf("answers %q, want %q", got, want)
		}
		h.inject(c.seal(t, record.Alert, "\x02\x50"), clientAddr(1))
		if err := <-h.ended; !errors.Is(err, record.ErrFatalAlert) {
			t.Errorf("the session ended with %v", err)
		}
		if got := c.answers(t); len(got) > 0 {
			t.Errorf("answers %q to a fatal alert", got)
		}
		h.wantKnown(t, 0, 0)
	})
}

// TestMovesOfOwn: RFC 9146, Section 6: the newest authentic record says where the client is; others do not.
func TestMovesOfOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		moved := make(chan netip.AddrPort, 10)
		h := newOwnHouse(t, func(c *Config) { c.Moved = func(_ *Conn, to netip.AddrPort) { moved <- to } })
		defer h.close(t)
		c := h.byHand(t, clientAddr(1), dtls.WithConnectionIDGenerator(dtls.OnlySendCIDGenerator()))
		conn := <-h.conns
		first, older := c.seal(t, record.ApplicationData, "first"), c.seal(t, record.ApplicationData, "older")
		newer := c.seal(t, record.ApplicationData, "newer")
		forged := c.seal(t, record.ApplicationData, "forged")
		forged[len(forged)-1] ^= 1
		for _, step := range []struct {
			b    []byte
			from uint16
			at   uint16
		}{{first, 1, 1}, {newer, 1, 1}, {older, 2, 1}, {newer, 2, 1}, {forged, 2, 1}, {c.seal(t, record.ApplicationData, "there"), 3, 3}} {
			h.inject(step.b, clientAddr(step.from))
			synctest.Wait()
			if got := conn.RemoteAddr().String(); got != clientAddr(step.at).String() {
				t.Errorf("the client is at %s, want %v", got, clientAddr(step.at))
			}
		}
		if got := <-moved; got != clientAddr(3) || len(moved) > 0 {
			t.Errorf("moved to %v, and %d more", got, len(moved))
		}
		_ = conn.Close()
		<-h.ended
		h.wantKnown(t, 0, 0)
	})
}

// TestMovesBeforeItsFirstRecord: the answer to the record that the session is taken over with goes to where that came from.
func TestMovesBeforeItsFirstRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, moves := movedHouse(t, func(c *Config) { c.RecordPath = Own })
		defer h.close(t)
		c, s := h.client(t, clientAddr(1), moving())
		s.move(clientAddr(10))
		echo(t, c, "first")
		if to := <-moves; to != clientAddr(10) {
			t.Errorf("moved to %v", to)
		}
		h.wantTakenOver(t, 1)
		_ = c.Close()
		<-h.ended
	})
}

// TestIdleCost: a session that is ours has no goroutine.
func TestIdleCost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newOwnHouse(t)
		defer h.close(t)
		const sessions = 20
		before := runtime.NumGoroutine()
		for i := range sessions {
			c := h.byHand(t, clientAddr(uint16(i+1)))
			h.inject(c.seal(t, record.ApplicationData, "x"), clientAddr(uint16(i+1)))
			if got := c.answers(t); !slices.Equal(got, []string{"\x17x"}) {
				t.Fatalf("answers %q", got)
			}
		}
		synctest.Wait()
		if n := runtime.NumGoroutine() - before; n > sessions/2 { // other tests may end, or begin, some
			t.Errorf("%d goroutines more for %d sessions", n, sessions)
		}
		for range sessions {
			_ = (<-h.conns).Close()
			<-h.ended
		}
	})
}

// TestTakeOverGivesWay: the connection is replaced in the middle of its take-over.
func TestTakeOverGivesWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newOwnHouse(t)
		defer h.close(t)
		var conn *Conn
		h.input = func(c *Conn, _ []byte) {
			if conn == nil {
				conn = c
				c.end()
			}
		}
		c, _ := h.client(t, clientAddr(1))
		for range 3 {
			_, _ = c.Write([]byte("x"))
		}
		if err := <-h.ended; !errors.Is(err, io.EOF) {
			t.Errorf("the session ended with %v", err)
		}
		synctest.Wait()
		if len(h.ended) > 0 {
			t.Error("it ended twice")
		}
		h.wantKnown(t, 0, 0)
		_ = c.Close()
	})
}

// TestOwnDatagramCost: a datagram in and one out cost no memory.
func TestOwnDatagramCost(t *testing.T) {
	if underRace {
		t.Skip("the race detector drops pooled buffers")
	}
	synctest.Test(t, func(t *testing.T) {
		h := newOwnHouse(t)
		defer h.close(t)
		c := h.byHand(t, clientAddr(1))
		h.inject(c.seal(t, record.ApplicationData, "x"), clientAddr(1))
		synctest.Wait()
		conn := <-h.conns
		via := new(sink)
		text, buf := bytes.Repeat([]byte("x"), 190), make([]byte, 0, 2048)
		least := 1e9
		for range 10 {
			least = min(least, testing.AllocsPerRun(50, func() {
				b, _ := c.Seal(buf, record.ApplicationData, text)
				conn.deliver(via, b, udp.Path{Peer: clientAddr(1)})
			}))
		}
		if least > 0 || via.sent == 0 {
			t.Errorf("%v allocations, %d answers", least, via.sent)
		}
		_ = conn.Close()
		<-h.ended
	})
}

// sink is a way out that only counts.
type sink struct{ sent int }

func (s *sink) Send([]byte, udp.Path) { s.sent++ }
