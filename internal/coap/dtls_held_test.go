package coap

import (
	"bytes"
	"errors"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// readAll reads an association until it ends, as the library does.
func readAll(a *dtlsAssociation) (got <-chan []byte, end <-chan error) {
	data, errs := make(chan []byte, 2*maxQueuedDatagrams), make(chan error, 1)
	go func() {
		buf := make([]byte, maxDatagram)
		for {
			n, _, err := a.ReadFrom(buf)
			if err != nil {
				errs <- err
				return
			}
			data <- bytes.Clone(buf[:n])
		}
	}()
	return data, errs
}

// received takes what was read so far.
func received(got <-chan []byte) []byte {
	synctest.Wait()
	var all []byte
	for {
		select {
		case b := <-got:
			all = append(all, b...)
		default:
			return all
		}
	}
}

// shaking is an association that waits for the last flight of the peer, and what is read of it.
func shaking(t *testing.T) (a *dtlsAssociation, got <-chan []byte, end <-chan error) {
	t.Helper()
	network := &memNet{}
	d := newDTLSDemux(network.socket(1), new(Counters))
	network.socket(2)
	d.route(helloDatagram(), memAddr(2))
	a = <-d.incoming
	got, end = readAll(a)
	if !bytes.Equal(received(got), helloDatagram()) {
		t.Error("the ClientHello was not read")
	}
	return a, got, end
}

// write sends a datagram of ours.
func (a *dtlsAssociation) write(t *testing.T, b []byte) {
	t.Helper()
	if _, err := a.WriteTo(b, a.remote); err != nil {
		t.Errorf("WriteTo() = %v", err)
	}
}

// TestHeldUntilTheHandshakeIsOver: what comes after our Finished waits, in order, until the library can take it; what comes
// before it does not, the peer's own Finished least of all.
func TestHeldUntilTheHandshakeIsOver(t *testing.T) {
	flights := map[string][]byte{
		"in one datagram":                join(plain(20, 1), protected(22, 9)),
		"Finished by itself":             protected(22, 9),
		"with a connection ID":           join(plain(20, 1), withCID(1, "12345678", 7)),
		"with an ID of another length":   join(plain(20, 1), withCID(1, "123", 7)),
		"with an ID that has no length":  join(plain(20, 1), withCID(1, "", 7)),
		"with an ID longer than the end": withCID(1, "123456789012345678901234567890"),
	}
	for name, flight := range flights {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, got, end := shaking(t)
				a.write(t, join(plain(22, 2), plain(22, 14)))
				last := join(plain(22, 16), plain(20, 1), protected(22, 1))
				a.deliver(last, a.remote)
				if read := received(got); !bytes.Equal(read, last) {
					t.Errorf("the peer's last flight: read %x, want %x", read, last)
				}
				a.write(t, flight)
				var want []byte
				for i := range maxQueuedDatagrams {
					b := protected(23, byte(i))
					a.deliver(b, a.remote)
					want = append(want, b...)
				}
				a.deliver(plain(22, 1), a.remote) // in the clear: nothing of it may be seen later
				if read := received(got); read != nil {
					t.Errorf("read %x before the handshake was over", read)
				}
				a.settle()
				a.deliver(plain(21, 2, 40), a.remote)
				if read := received(got); !bytes.Equal(read, want) {
					t.Errorf("read %d bytes, other than the %d that were held:\n%x", len(read), len(want), read)
				}
				late := protected(23, 'l')
				a.deliver(late, a.remote)
				if read := received(got); !bytes.Equal(read, late) {
					t.Errorf("afterwards read %x, want %x", read, late)
				}
				_ = a.Close()
				<-end
			})
		})
	}
}

// TestHeldIsBounded: more than the queue takes is dropped, as the network may drop it.
func TestHeldIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, got, end := shaking(t)
		a.write(t, protected(22, 9))
		record := protected(23, 'x')
		for range 2 * maxQueuedDatagrams {
			a.deliver(record, a.remote)
			synctest.Wait() // the reader has taken the first
		}
		a.settle()
		if n := len(received(got)) / len(record); n != maxQueuedDatagrams+1 {
			t.Errorf("%d datagrams, want those of a full queue and the one that was read", n)
		}
		_ = a.Close()
		<-end
	})
}

// TestHeldEnds: a handshake that fails after our Finished ends the wait.
func TestHeldEnds(t *testing.T) {
	tests := []struct {
		name string
		end  func(*dtlsAssociation)
		want error
	}{
		{"closed", func(a *dtlsAssociation) { _ = a.Close() }, net.ErrClosed},
		{"deadline", func(a *dtlsAssociation) { _ = a.SetReadDeadline(time.Now()) }, os.ErrDeadlineExceeded},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, got, end := shaking(t)
				a.write(t, protected(22, 9))
				a.deliver(protected(23, 'x'), a.remote)
				if read := received(got); read != nil {
					t.Errorf("read %x", read)
				}
				tt.end(a)
				if err := <-end; !errors.Is(err, tt.want) {
					t.Errorf("ReadFrom() = %v, want %v", err, tt.want)
				}
				_ = a.Close()
			})
		})
	}
}

func TestHoldsProtected(t *testing.T) {
	for name, b := range map[string][]byte{
		"nothing":                       nil,
		"plaintext":                     join(plain(22, 2), plain(20, 1)),
		"an alert wrapped by mistake":   withCID(0, "123", 2, 40, 21), // see unwrapAlert
		"cut short before the epoch":    join(plain(20, 1), protected(22, 9)[:4]),
		"a length beyond the datagram":  plain(22, 2, 3)[:14],
		"protected behind what is none": join(plain(22, 2)[:13], []byte{0}),
	} {
		if holdsProtected(b) {
			t.Errorf("%s: holds a protected record", name)
		}
	}
}
