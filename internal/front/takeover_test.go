package front

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/dtls/v3"

	"github.com/dotsgate/dotsgate/internal/record"
)

// newOwnHouse is a house that takes sessions over. Its sessions echo, unless given another input.
func newOwnHouse(t *testing.T, change ...func(*Config)) *house {
	t.Helper()
	return newHouse(t, append([]func(*Config){func(c *Config) { c.RecordPath = Own }}, change...)...)
}

// sealed is what of a datagram is protected: the number and the bytes of each record. cid is the length of the client's
// connection IDs.
func sealed(b []byte, cid int) (records [][]byte) {
	for r, rest := record.Next(b, cid); r != nil; r, rest = record.Next(rest, cid) {
		if record.Epoch(r) > 0 {
			records = append(records, r)
		}
	}
	return records
}

// nonce is the explicit part of a record's nonce.
func nonce(r []byte, cid int) uint64 {
	header := 13
	if record.ContentType(r[0]) == record.ConnectionID {
		header += cid
	}
	return binary.BigEndian.Uint64(r[header:])
}

// wantNoncesOnce: no number is sealed with twice, whoever has sealed; returns how many there are.
func wantNoncesOnce(t *testing.T, datagrams [][]byte, cid int) int {
	t.Helper()
	seen := make(map[uint64][]byte)
	for _, d := range datagrams {
		for _, r := range sealed(d, cid) {
			n := nonce(r, cid)
			if old := seen[n]; old != nil && !bytes.Equal(old, r) {
				t.Errorf("nonce %x is used for two records", n)
			}
			seen[n] = r
		}
	}
	return len(seen)
}

// ends are the kinds of client that sessions are taken over from.
func ends() map[string]struct {
	options []dtls.ClientOption
	cid     int
} {
	type end = struct {
		options []dtls.ClientOption
		cid     int
	}
	suite := func(id dtls.CipherSuiteID) dtls.ClientOption { return dtls.WithCipherSuites(id) }
	return map[string]end{
		"AES 128": {options: []dtls.ClientOption{suite(dtls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256)}},
		"AES 256": {options: []dtls.ClientOption{suite(dtls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384)}},
		"ours":    {options: []dtls.ClientOption{dtls.WithConnectionIDGenerator(dtls.OnlySendCIDGenerator())}},
		"both": {
			options: []dtls.ClientOption{dtls.WithConnectionIDGenerator(dtls.RandomCIDGenerator(4))}, cid: 4,
		},
	}
}

// ownSuite is the test that runs what others say of sessions on the library's record path, on ours.
const ownSuite = "TestOwnRecordPath"

func TestOwnRecordPath(t *testing.T) {
	for name, test := range map[string]func(*testing.T){
		"handshake": TestHandshake, "PSK": TestHandshakePSK, "close": TestClose, "stop accepting": TestStopAccepting,
	} {
		t.Run(name, test)
	}
}

// TestTakeOver: the first data brings the session to us; the library sends nothing any more, and no nonce comes twice.
func TestTakeOver(t *testing.T) {
	for name, end := range ends() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newOwnHouse(t)
				defer h.close(t)
				c, _ := h.client(t, clientAddr(1), end.options...)
				conn := <-h.conns
				synctest.Wait()
				a := conn.association.Load()
				if a == nil || h.counters.TakenOver.Load() != 0 {
					t.Fatal("the session was taken over before there was data")
				}
				before := len(h.sentSince(0))
				echo(t, c, "first")
				synctest.Wait()
				if conn.association.Load() != nil || conn.own.Load() == nil || h.counters.TakenOver.Load() != 1 {
					t.Fatalf("the session was not taken over: %d", h.counters.TakenOver.Load())
				}
				for i := range 20 {
					echo(t, c, fmt.Sprint("more ", i))
				}
				// Whatever the library still writes goes nowhere.
				if n, err := a.WriteTo([]byte("late"), a.last); err == nil && n != 4 {
					t.Errorf("WriteTo() = %d, %v", n, err)
				}
				synctest.Wait()
				if n := len(h.sentSince(before)); n != 21 {
					t.Errorf("%d datagrams for 21 answers", n)
				}
				if n := wantNoncesOnce(t, h.sentSince(0), end.cid); n != 1+21 {
					t.Errorf("%d nonces, want the Finished and 21 answers", n)
				}
				_ = c.Close()
				if err := <-h.ended; !errors.Is(err, io.EOF) {
					t.Errorf("the session ended with %v", err)
				}
				h.wantKnown(t, 0, 0)
			})
		})
	}
}

// TestTakeOverNot: what stays with the library.
func TestTakeOverNot(t *testing.T) {
	for name, c := range map[string]struct {
		change  func(*Config)
		options []dtls.ClientOption
	}{
		"record path pion": {func(c *Config) { c.RecordPath = Pion }, nil},
		"CCM":              {func(*Config) {}, []dtls.ClientOption{dtls.WithCipherSuites(dtls.TLS_ECDHE_ECDSA_WITH_AES_128_CCM)}},
		"ChaCha20": {func(*Config) {}, []dtls.ClientOption{
			dtls.WithCipherSuites(dtls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newOwnHouse(t, c.change)
				defer h.close(t)
				options := h.options
				h.options = func() []dtls.ServerOption {
					return append(options(), dtls.WithCipherSuites(
						dtls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, dtls.TLS_ECDHE_ECDSA_WITH_AES_128_CCM,
						dtls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256))
				}
				client, _ := h.client(t, clientAddr(1), c.options...)
				for range 3 {
					echo(t, client, "text")
				}
				if n := h.counters.TakenOver.Load(); n != 0 {
					t.Errorf("%d sessions taken over", n)
				}
				_ = client.Close()
				<-h.ended
			})
		})
	}
}

// TestTakeOverInOrder: a client that sends much at once after its Finished loses nothing, and nothing comes twice or out of order,
// wherever the take-over happens in between.
func TestTakeOverInOrder(t *testing.T) {
	for _, options := range [][]dtls.ClientOption{nil, {dtls.WithConnectionIDGenerator(dtls.OnlySendCIDGenerator())}} {
		synctest.Test(t, func(t *testing.T) {
			h := newOwnHouse(t)
			defer h.close(t)
			var got []string
			h.input = func(_ *Conn, b []byte) { got = append(got, string(b)) }
			c, _ := h.client(t, clientAddr(1), options...)
			var want []string
			for i := range 40 {
				want = append(want, fmt.Sprint(i))
				if _, err := c.Write([]byte(want[i])); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
			if !slices.Equal(got, want) {
				t.Errorf("input %q", got)
			}
			if n := h.counters.TakenOver.Load(); n != 1 {
				t.Errorf("%d sessions taken over", n)
			}
			_ = c.Close()
			<-h.ended
		})
	}
}

// breath is what the client writes as one datagram, which is lost on its way; an empty text closes.
func (h *house) breath(c *dtls.Conn, texts ...string) (datagram []byte) {
	h.lose(func(b []byte) int { datagram = append(datagram, b...); return 0 }, nil)
	defer h.lose(nil, nil)
	for _, text := range texts {
		if text == "" {
			_ = c.Close()
		} else {
			_, _ = c.Write([]byte(text))
		}
	}
	return datagram
}

// TestTakeOverHolds: what comes while the session is taken over waits, and comes to input in its turn.
func TestTakeOverHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newOwnHouse(t)
		defer h.close(t)
		var got []string
		begun, goOn := make(chan struct{}), make(chan struct{})
		h.input = func(_ *Conn, b []byte) {
			if got = append(got, string(b)); string(b) == "1" {
				close(begun)
				<-goOn
			}
		}
		c, s := h.client(t, clientAddr(1))
		first, meanwhile, after := h.breath(c, "1", "2", "3"), [][]byte{h.breath(c, "4"), h.breath(c, "5", "6")}, h.breath(c, "7")
		h.inject(first, s.addr)
		<-begun
		for _, d := range meanwhile {
			h.inject(d, s.addr)
		}
		synctest.Wait()
		close(goOn)
		synctest.Wait()
		h.inject(after, s.addr)
		synctest.Wait()
		if want := []string{"1", "2", "3", "4", "5", "6", "7"}; !slices.Equal(got, want) {
			t.Errorf("input %q", got)
		}
		_ = (<-h.conns).Close()
		<-h.ended
		_ = c.Close()
	})
}

// TestTakeOverWhileWriting: others write all the time. The client can read every record.
func TestTakeOverWhileWriting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newOwnHouse(t)
		defer h.close(t)
		c, _ := h.client(t, clientAddr(1))
		conn := <-h.conns
		const writers, each = 4, 25
		var all sync.WaitGroup
		for range writers {
			all.Go(func() {
				for i := range each {
					if err := conn.Write([]byte("ours")); err != nil {
						t.Errorf("Write() = %v", err)
					}
					if i%5 == 0 {
						runtime.Gosched()
					}
				}
			})
		}
		if _, err := c.Write([]byte("theirs")); err != nil {
			t.Fatal(err)
		}
		got := map[string]int{}
		buf := make([]byte, 100)
		_ = c.SetReadDeadline(time.Now().Add(time.Minute))
		for range writers*each + 1 {
			n, err := c.Read(buf)
			if err != nil {
				t.Fatalf("after %v: %v", got, err)
			}
			got[string(buf[:n])]++
		}
		all.Wait()
		if got["ours"] != writers*each || got["theirs"] != 1 {
			t.Errorf("read %v", got)
		}
		if n := wantNoncesOnce(t, h.sentSince(0), 0); n != writers*each+2 {
			t.Errorf("%d nonces", n)
		}
		_ = c.Close()
		<-h.ended
	})
}

// TestTakeOverClosed: the owner closes the session under the very input that brings it to us; the client is told.
func TestTakeOverClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newOwnHouse(t)
		defer h.close(t)
		inputs := 0
		h.input = func(c *Conn, _ []byte) {
			inputs++
			_ = c.Close()
			_ = c.Close()
		}
		c, s := h.client(t, clientAddr(1))
		h.inject(h.breath(c, "x", "x", "x"), s.addr)
		if n, err := c.Read(make([]byte, 10)); !errors.Is(err, io.EOF) {
			t.Errorf("the client read %d, %v", n, err)
		}
		if err := <-h.ended; !errors.Is(err, io.EOF) {
			t.Errorf("the session ended with %v", err)
		}
		if inputs != 1 {
			t.Errorf("%d inputs", inputs)
		}
		if err := (<-h.conns).Write([]byte("late")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Write() = %v", err)
		}
		h.wantKnown(t, 0, 0)
	})
}

// TestTakeOverEnded: the client says goodbye in the same breath as its first data. The library may drop what it has opened
// last; all else is heard, and the session ends.
func TestTakeOverEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newOwnHouse(t)
		defer h.close(t)
		var got []string
		h.input = func(_ *Conn, b []byte) { got = append(got, string(b)) }
		c, s := h.client(t, clientAddr(1))
		h.inject(h.breath(c, "one", "two", ""), s.addr)
		if err := <-h.ended; !errors.Is(err, io.EOF) {
			t.Errorf("the session ended with %v", err)
		}
		if !slices.Equal(got, []string{"one", "two"}) && !slices.Equal(got, []string{"one"}) {
			t.Errorf("input %q", got)
		}
		h.wantKnown(t, 0, 0)
	})
}

// broken is an exporter that fails when it is too late, or at once.
type broken struct{ early, late error }

func (b broken) Check(*dtls.State) error                  { return b.early }
func (b broken) Export(*dtls.State) (record.State, error) { return record.State{}, b.late }

// TestTakeOverFails: a session that is muted, and cannot be exported, ends: it cannot go on anywhere. Where it is known before
// that it could not, it stays with the library.
func TestTakeOverFails(t *testing.T) {
	fault := errors.New("another shape")
	synctest.Test(t, func(t *testing.T) {
		h := newOwnHouse(t)
		var got []string
		h.input = func(_ *Conn, b []byte) { got = append(got, string(b)) }
		h.front.records.exporter = broken{late: fault}
		c, _ := h.client(t, clientAddr(1))
		before := len(h.sentSince(0))
		_, _ = c.Write([]byte("text"))
		if err := <-h.ended; !errors.Is(err, fault) {
			t.Errorf("the session ended with %v", err)
		}
		h.wantKnown(t, 0, 0)
		if n := len(h.sentSince(before)); n != 0 {
			t.Errorf("%d datagrams sent", n)
		}
		if !slices.Equal(got, []string{"text"}) {
			t.Errorf("input %q", got)
		}
		if n := h.counters.HandOver.Swap(0); n != 1 {
			t.Errorf("%d faults counted", n)
		}
		_ = c.Close()
		h.close(t)
	})
	synctest.Test(t, func(t *testing.T) {
		alarms := make(chan error, 10)
		h := newOwnHouse(t, func(c *Config) { c.Alarm = func(err error) { alarms <- err } })
		defer h.close(t)
		h.front.records.exporter = broken{early: fault}
		c, _ := h.client(t, clientAddr(1))
		for range 3 {
			echo(t, c, "text")
		}
		again, _ := h.client(t, clientAddr(2))
		if err := <-alarms; !errors.Is(err, fault) || len(alarms) > 0 {
			t.Errorf("alarm %v, and %d more", err, len(alarms))
		}
		_ = again.Close()
		<-h.ended
		if n := h.counters.TakenOver.Load(); n != 0 {
			t.Errorf("%d sessions taken over", n)
		}
		_ = c.Close()
		<-h.ended
	})
}

// TestAfterTakeOver: what may come then: the client's last flight again, old records, forged ones, plain alerts. None is heard,
// none is answered.
func TestAfterTakeOver(t *testing.T) {
	for name, options := range map[string][]dtls.ClientOption{
		"address": nil, "connection ID": {dtls.WithConnectionIDGenerator(dtls.OnlySendCIDGenerator())},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newOwnHouse(t)
				defer h.close(t)
				var seen [][]byte
				h.lose(func(b []byte) int { seen = append(seen, bytes.Clone(b)); return 1 }, nil)
				c, s := h.client(t, clientAddr(1), options...)
				for i := range 5 {
					echo(t, c, fmt.Sprint(i))
				}
				h.lose(nil, nil)
				synctest.Wait()
				before := len(h.sentSince(0))
				for _, b := range seen {
					if looksLikeHello(b) {
						continue
					}
					h.inject(b, s.addr)
					for bit := range 8 * len(b) {
						forged := bytes.Clone(b)
						forged[bit/8] ^= 1 << (bit % 8)
						h.inject(forged, s.addr)
					}
				}
				h.inject([]byte{21, 254, 253, 0, 0, 0, 0, 0, 0, 0, 99, 0, 2, 2, 40}, s.addr)
				synctest.Wait()
				if n := len(h.sentSince(before)); n != 0 {
					t.Errorf("%d datagrams sent", n)
				}
				select {
				case err := <-h.ended:
					t.Fatalf("the session ended with %v", err)
				default:
				}
				echo(t, c, "still there")
				_ = c.Close()
				<-h.ended
			})
		})
	}
}

// TestSuccessorOfOwn: a client that has lost its state begins anew from its address; the session that was ours ends without a word.
func TestSuccessorOfOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newOwnHouse(t)
		defer h.close(t)
		c, s := h.client(t, clientAddr(1))
		echo(t, c, "old")
		s.silence()
		before := len(h.sentSince(0))
		again, _ := h.client(t, clientAddr(1))
		if err := <-h.ended; !errors.Is(err, io.EOF) {
			t.Errorf("the old session ended with %v", err)
		}
		echo(t, again, "new")
		synctest.Wait()
		for _, b := range h.sentSince(before) {
			for _, r := range sealed(b, 0) {
				if record.ContentType(r[0]) == record.Alert {
					t.Error("an alert was sent")
				}
			}
		}
		if n := h.counters.TakenOver.Load(); n != 2 {
			t.Errorf("%d sessions taken over", n)
		}
		_, _ = c.Close(), again.Close()
		<-h.ended
		h.wantKnown(t, 0, 0)
	})
}
