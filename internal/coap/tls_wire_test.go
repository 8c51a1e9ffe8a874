package coap

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dotsgate/dotsgate/internal/testpki"
)

// tlsRecordOf is a TLS record of so many bytes of content.
func tlsRecordOf(kind byte, length int) []byte {
	return append([]byte{kind, 3, 3, byte(length >> 8), byte(length)}, bytes.Repeat([]byte{kind}, length)...)
}

func TestWholeRecords(t *testing.T) {
	two := append(tlsRecordOf(22, 300), tlsRecordOf(23, 5)...)
	tests := []struct {
		name string
		data []byte
		end  int
		bad  bool
	}{
		{"nothing", nil, 0, false},
		{"a part of a header", tlsRecordOf(22, 9)[:4], 0, false},
		{"a header", tlsRecordOf(22, 9)[:5], 0, false},
		{"one byte too few", tlsRecordOf(22, 9)[:13], 0, false},
		{"one", tlsRecordOf(22, 9), 14, false},
		{"an empty one", tlsRecordOf(23, 0), 5, false},
		{"two", two, 315, false},
		{"one and a half", two[:312], 305, false},
		{"the longest", tlsRecordOf(23, 1<<14+2048), maxTLSRecord, false},
		{"too long", tlsRecordOf(23, 1<<14+2049)[:5], 0, true},
		{"no such type", tlsRecordOf(24, 3), 0, true},
		{"no such version", []byte{22, 2, 0, 0, 0}, 0, true},
		{"HTTP", []byte("GET / HTTP/1.1\r\n"), 0, true},
		{"something bad behind a good one", append(tlsRecordOf(22, 9), "hello"...), 0, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			end, err := wholeRecords(tt.data, maxTLSRecord)
			if end != tt.end || (err != nil) != tt.bad {
				t.Errorf("%d, %v; want %d, bad: %v", end, err, tt.end, tt.bad)
			}
		})
	}
}

// What comes in pieces is handed over record by record, and only what was sent is kept meanwhile.
func TestWireReadsWholeRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		w := newTLSWire(near, newTLSCommon(1))
		w.common.enter()
		sent := append(append(tlsRecordOf(22, 300), tlsRecordOf(22, 20)...), tlsRecordOf(22, 600)...)
		read := make(chan []byte, 8)
		go func() {
			b := make([]byte, 1000)
			for {
				n, err := w.Read(b)
				if err != nil {
					close(read)
					return
				}
				read <- bytes.Clone(b[:n])
			}
		}()
		for i := range sent {
			_, _ = far.Write(sent[i : i+1])
			synctest.Wait()
			if kept := cap(w.began); kept > 2*i+64 {
				t.Fatalf("%d bytes are kept for %d", kept, i+1)
			}
		}
		for _, want := range [][]byte{sent[:305], sent[305:330], sent[330:]} {
			if got := <-read; !bytes.Equal(got, want) {
				t.Errorf("read %d bytes, want %d", len(got), len(want))
			}
		}
		_, _ = far.Write(sent[:7])
		_ = far.Close()
		if _, ok := <-read; ok {
			t.Error("half a record was handed over")
		}
	})
}

func TestWireEndsInTheMiddle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for sent, want := range map[int]error{0: io.EOF, 3: io.ErrUnexpectedEOF, 9: io.ErrUnexpectedEOF} {
			near, far := net.Pipe()
			go func() {
				if sent > 0 {
					_, _ = far.Write(tlsRecordOf(22, 50)[:sent])
				}
				_ = far.Close()
			}()
			if err := newTLSWire(near, newTLSCommon(0)).greet(); !errors.Is(err, want) {
				t.Errorf("after %d bytes: %v, want %v", sent, err, want)
			}
		}
	})
}

func TestLongHello(t *testing.T) {
	near, far := net.Pipe()
	go func() { _, _ = far.Write(tlsRecordOf(22, maxHelloRecord)[:5]) }()
	w := newTLSWire(near, newTLSCommon(0))
	if err := w.greet(); !errors.Is(err, errBadRecord) {
		t.Errorf("greet() = %v", err)
	}
	_, _ = w.Close(), far.Close()
}

// crypto/tls takes the pause between two records for a time-out, and reads on afterwards: what tlsWire rests on.
func TestTLSReadsOnAfterAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		link, peer := tlsPair(t)
		buf := make([]byte, 100)
		for _, text := range []string{"one", "two"} {
			for range 3 {
				if n, err := link.conn.Read(buf); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Fatalf("read %d, %v", n, err)
				}
			}
			go func() { _, _ = peer.Write([]byte(text)) }()
			if err := link.wire.await(); err != nil {
				t.Fatal(err)
			}
			if n, err := link.conn.Read(buf); err != nil || string(buf[:n]) != text {
				t.Errorf("read %q, %v", buf[:n], err)
			}
		}
		_ = peer.Close()
		_ = link.Close()
		link.drain()
	})
}

// No handshake computes while as many do as may, and one that waits for its peer does not count.
func TestHandshakesComputeInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := testpki.New(t, "root")
		common := newTLSCommon(1)
		set := credentialsOf(t, ca, ca.Server()).current.Load()
		first, silent := net.Pipe() // waits for its peer
		go func() { _, _ = tlsIncoming{wire: newTLSWire(first, common)}.secure(t.Context(), set) }()
		synctest.Wait()
		common.enter() // somebody computes
		second, far := net.Pipe()
		done := make(chan error, 1)
		go func() {
			_, err := tlsIncoming{wire: newTLSWire(second, common)}.secure(t.Context(), set)
			done <- err
		}()
		client := tls.Client(far, &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost", Certificates: []tls.Certificate{ca.Client("a").TLS()}})
		go func() { _ = client.Handshake(); _, _ = client.Read(make([]byte, 1)) }()
		time.Sleep(time.Second)
		if len(done) != 0 {
			t.Error("it did not wait for its turn")
		}
		common.leave()
		if err := <-done; err != nil {
			t.Errorf("the handshake failed: %v", err)
		}
		_, _, _ = silent.Close(), second.Close(), far.Close()
	})
}
