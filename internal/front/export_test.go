package front

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/pion/dtls/v3"

	"github.com/dotsgate/dotsgate/internal/record"
	"github.com/dotsgate/dotsgate/internal/udp"
)

// nextNet is the network of a house's successor.
type nextNet struct {
	*memNet
	closed chan struct{}
}

func (n nextNet) Run(handle func(via Sender, b []byte, from udp.Path)) {
	for {
		select {
		case d := <-n.in:
			handle(n.memNet, d.data, udp.Path{Peer: d.from})
		case <-n.closed:
			return
		}
	}
}

func (n nextNet) Close() error { close(n.closed); return nil }

// successor is the front of another process on the same sockets, once the house reads no more.
type successor struct {
	front *Front
	ended chan error
	stop  func()
}

// succeedBy stops the house's front, and makes another one.
func (h *house) succeedBy(t *testing.T) *successor {
	t.Helper()
	h.front.Stop()
	synctest.Wait()
	f, err := New(Config{Network: nextNet{h.memNet, make(chan struct{})}, Options: h.options, Counters: new(Counters)})
	if err != nil {
		t.Fatal(err)
	}
	return &successor{front: f, ended: make(chan error, 64)}
}

// run begins to read.
func (s *successor) run(t *testing.T) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.front.Run(t.Context())
	}()
	s.stop = func() {
		_ = s.front.Close()
		<-done
	}
}

// resume goes on with a session, which echoes.
func (s *successor) resume(t *testing.T, e Exported) *Conn {
	t.Helper()
	c, err := s.front.Resume(e)
	if err != nil {
		t.Fatalf("Resume() = %v", err)
	}
	c.Serve(func(b []byte) { _ = c.Write(b) }, func(err error) { s.ended <- err })
	return c
}

// TestExport: a session goes on in another front without a handshake; no nonce comes twice, and what has come once is refused
// there, too.
func TestExport(t *testing.T) {
	for name, end := range ends() {
		for _, first := range []bool{true, false} { // whether there was data before
			t.Run(fmt.Sprint(name, " ", first), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					h := newOwnHouse(t)
					defer h.close(t)
					c, _ := h.client(t, clientAddr(1), end.options...)
					old := <-h.conns
					if first {
						echo(t, c, "first")
					}
					synctest.Wait()
					next := h.succeedBy(t)
					synctest.Wait()
					before := len(h.sentSince(0))
					e, err := old.Export()
					if err != nil {
						t.Fatalf("Export() = %v", err)
					}
					<-h.ended
					if err := old.Write([]byte("late")); err == nil && first {
						t.Error("the old one still writes")
					}
					_ = old.Close()
					h.wantKnown(t, 0, 0)
					conn := next.resume(t, e)
					if conn.RemoteAddr().String() != clientAddr(1).String() {
						t.Errorf("the client is at %v", conn.RemoteAddr())
					}
					if err := conn.Write([]byte("unasked")); err != nil {
						t.Fatal(err)
					}
					next.run(t)
					defer next.stop()
					buf := make([]byte, 100)
					if n, err := c.Read(buf); err != nil || string(buf[:n]) != "unasked" {
						t.Fatalf("read %q, %v", buf[:n], err)
					}
					for i := range 20 {
						echo(t, c, fmt.Sprint("more ", i))
					}
					if n := len(h.sentSince(before)); n != 21 {
						t.Errorf("%d datagrams for 21 records: somebody said more", n)
					}
					wantNoncesOnce(t, h.sentSince(0), end.cid)

					_ = c.Close()
					if err := <-next.ended; err == nil {
						t.Error("the session ended without a reason")
					}
				})
			})
		}
	}
}

// TestExportOnce: nothing is exported twice, nor resumed twice; a session that is over is not exported.
func TestExportOnce(t *testing.T) {
	for _, name := range []string{"AES 128", "both"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newOwnHouse(t)
				defer h.close(t)
				c, _ := h.client(t, clientAddr(1), ends()[name].options...)
				old := <-h.conns
				echo(t, c, "first")
				next := h.succeedBy(t)
				e, err := old.Export()
				if err != nil {
					t.Fatal(err)
				}
				if err := <-h.ended; !errors.Is(err, ErrExported) {
					t.Errorf("the old one ended with %v", err)
				}
				if _, err := old.Export(); !errors.Is(err, net.ErrClosed) {
					t.Errorf("a second export: %v", err)
				}
				conn := next.resume(t, e)
				if _, err := next.front.Resume(e); !errors.Is(err, ErrTaken) {
					t.Errorf("a second import: %v", err)
				}
				_ = conn.Close()
				<-next.ended
				_ = next.front.Close()
				_ = c.Close()
			})
		})
	}
}

// TestExportRefusesReplays: what the old front has seen the new one takes for a replay.
func TestExportRefusesReplays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newOwnHouse(t)
		defer h.close(t)
		c := h.byHand(t, clientAddr(1))
		late := c.seal(t, record.ApplicationData, "late")
		seen := c.seal(t, record.ApplicationData, "seen")
		h.inject(bytes.Clone(seen), clientAddr(1))
		c.answers(t)
		old := <-h.conns
		next := h.succeedBy(t)
		synctest.Wait()
		e, err := old.Export()
		if err != nil {
			t.Fatal(err)
		}
		<-h.ended
		waits := c.seal(t, record.ApplicationData, "waits") // in the socket meanwhile
		for _, b := range [][]byte{seen, late, waits, waits} {
			h.inject(bytes.Clone(b), clientAddr(1))
		}
		conn := next.resume(t, e)
		next.run(t)
		if got := c.answers(t); !slices.Equal(got, []string{"\x17waits"}) {
			t.Errorf("answers %q", got)
		}
		if n := next.front.counters.Dropped.Replayed.Load(); n != 3 {
			t.Errorf("%d replays, want 3", n)
		}
		_ = conn.Close()
		<-next.ended
		next.stop()
	})
}

// TestExportNot: a session that is the library's for good lives on, and can still say good-bye.
func TestExportNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, func(c *Config) { c.RecordPath = Pion })
		defer h.close(t)
		c, _ := h.client(t, clientAddr(1))
		conn := <-h.conns
		echo(t, c, "first")
		if _, err := conn.Export(); !errors.Is(err, ErrNotPortable) {
			t.Errorf("Export() = %v", err)
		}
		echo(t, c, "second")
		_ = conn.Close()
		<-h.ended
		if _, err := c.Read(make([]byte, 10)); err == nil {
			t.Error("the client was not told")
		}
	})
}

// TestResumeTrial: an address that is not confirmed is so in the next process, too, which asks.
func TestResumeTrial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newOwnHouse(t)
		defer h.close(t)
		c := h.byHand(t, clientAddr(1), dtls.WithConnectionIDGenerator(dtls.OnlySendCIDGenerator()))
		h.inject(c.seal(t, record.ApplicationData, "first"), clientAddr(1))
		c.answers(t)
		h.inject(c.seal(t, record.ApplicationData, "moved"), clientAddr(2))
		synctest.Wait()
		old := <-h.conns
		next := h.succeedBy(t)
		synctest.Wait()
		e, err := old.Export()
		if err != nil {
			t.Fatal(err)
		}
		<-h.ended
		asked := make(chan string, 1)
		conn, err := next.front.Resume(e)
		if err != nil {
			t.Fatal(err)
		}
		next.front.cfg.Moved = func(c *Conn, _ netip.AddrPort) { asked <- c.RemoteAddr().String() }
		conn.Serve(func([]byte) {}, func(err error) { next.ended <- err })
		if got := <-asked; got != clientAddr(2).String() {
			t.Errorf("asked at %s", got)
		}
		_ = conn.Write(bytes.Repeat([]byte("x"), 1000))
		if n := next.front.counters.Unconfirmed.Load(); n != 1 {
			t.Errorf("%d datagrams withheld, want 1", n)
		}
		_ = conn.Close()
		<-next.ended
		_ = next.front.Close()
	})
}

// TestResumeBad: what is no export is refused, and none shows its secrets.
func TestResumeBad(t *testing.T) {
	f := newFront(Config{Network: newMemNet()})
	state := record.State{Suite: uint16(dtls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256), MasterSecret: bytes.Repeat([]byte{0xa5}, 48)}
	good, err := state.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	state.IsClient = true
	client, _ := state.MarshalBinary()
	for name, e := range map[string]Exported{
		"nothing": {}, "cut": {Record: good[:20]}, "a client's": {Record: client}, "a strange ID": {Record: good, ID: []byte{1}},
	} {
		if _, err := f.Resume(e); err == nil {
			t.Errorf("%s is resumed", name)
		}
	}
	e := Exported{Record: good, To: udpPath(1)}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		if text := fmt.Sprintf(verb, e); strings.Contains(text, "a5a5") || strings.Contains(text, "165") || !strings.Contains(text, "198.51.100.7") {
			t.Errorf("%s shows %q", verb, text)
		}
	}
	c, err := f.Resume(e)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close() // before it is served
	ended := make(chan error, 1)
	c.Serve(func([]byte) {}, func(err error) { ended <- err })
	<-ended
}
