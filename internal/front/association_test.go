package front

import (
	"bytes"
	"errors"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/transport/v5/deadline"
)

// shaking is an association whose ClientHellos the library has read, and what is read of it.
func shaking(t *testing.T) (a *association, got <-chan []byte, end <-chan error) {
	t.Helper()
	n := newMemNet()
	f := newFront(Config{Network: n})
	f.greet(n, provenHello(f, clientAddr(1)), udpPath(1))
	c, err := f.Accept()
	if err != nil {
		t.Fatal(err)
	}
	a = c.association.Load()
	got, end = readAll(a)
	if h, ok := parseHello(received(got)); !ok || h.message != 0 {
		t.Error("the first ClientHello was not read")
	}
	return a, got, end
}

// readAll reads an association until it ends, as the library does.
func readAll(a *association) (got <-chan []byte, end <-chan error) {
	data, errs := make(chan []byte, 2*maxQueued), make(chan error, 1)
	go func() {
		buf := make([]byte, 8192)
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

// bring delivers a datagram from the peer.
func (a *association) bring(b []byte) { a.deliver(a.conn.route.Load().via, b, a.conn.origin) }

// write sends a datagram of the library's.
func (a *association) write(t *testing.T, b []byte) {
	t.Helper()
	if _, err := a.WriteTo(b, a.last); err != nil {
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
				a.bring(last)
				if read := received(got); !bytes.Equal(read, last) {
					t.Errorf("the peer's last flight: read %x, want %x", read, last)
				}
				a.write(t, flight)
				var want []byte
				for i := range maxQueued {
					b := protected(23, byte(i))
					a.bring(b)
					want = append(want, b...)
				}
				a.bring(plain(22, 1)) // in the clear: nothing of it may be seen later
				if read := received(got); read != nil {
					t.Errorf("read %x before the handshake was over", read)
				}
				a.settle()
				a.bring(plain(21, 2, 40))
				if read := received(got); !bytes.Equal(read, want) {
					t.Errorf("read %d bytes, other than the %d that were held:\n%x", len(read), len(want), read)
				}
				late := protected(23, 'l')
				a.bring(late)
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
		for range 2 * maxQueued {
			a.bring(record)
			synctest.Wait() // the reader has taken the first
		}
		a.settle()
		if n := len(received(got)) / len(record); n != maxQueued+1 {
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
		end  func(*association)
		want error
	}{
		{"closed", func(a *association) { _ = a.Close() }, net.ErrClosed},
		{"deadline", func(a *association) { _ = a.SetReadDeadline(time.Now()) }, os.ErrDeadlineExceeded},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, got, end := shaking(t)
				a.write(t, protected(22, 9))
				a.bring(protected(23, 'x'))
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

// TestFedInHandshake: RFC 6347 bounds nothing of what a peer may send in its handshake, and the library keeps megabytes of it.
func TestFedInHandshake(t *testing.T) {
	big := plain(22, make([]byte, 200)...)
	tests := []struct {
		name     string
		datagram []byte
		want     int // of those that the library gets
	}{
		{"datagrams", plain(22, 16), maxFed},
		{"bytes", join(big, big, big, big, big, big, big), maxFedBytes / (7 * len(big))},
		{"protected records", protected(22, 1), maxFedProtected},
		{"protected behind others", join(plain(22, 16), plain(20, 1), protected(22, 1)), maxFedProtected},
		{"with a connection ID", withCID(1, "12345678", 1), maxFedProtected},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, got, end := shaking(t)
				a.write(t, plain(22, 2))
				for range 200 {
					a.bring(tt.datagram)
					synctest.Wait() // it is read, so that the queue is never full
				}
				if n := len(received(got)) / len(tt.datagram); n != tt.want {
					t.Errorf("%d datagrams were read, want %d", n, tt.want)
				}
				if n := a.conn.front.counters.Overfed.Load(); int(n) != 200-tt.want {
					t.Errorf("%d are counted, want %d", n, 200-tt.want)
				}
				a.settle()
				a.bring(protected(23, 1))
				if read := received(got); len(read) == 0 {
					t.Error("the session's data is dropped too")
				}
				_ = a.Close()
				<-end
			})
		})
	}
}

// TestSlots: the library works for a bounded number of handshakes at a time; sessions need no slot.
func TestSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, got, end := shaking(t)
		a.write(t, plain(22, 2))
		slots := a.conn.front.pending.slots
		for range cap(slots) {
			slots <- struct{}{} // others at work
		}
		flight := plain(22, 16)
		a.bring(flight)
		if read := received(got); read != nil {
			t.Errorf("read %x without a slot", read)
		}
		<-slots
		if read := received(got); !bytes.Equal(read, flight) {
			t.Errorf("read %x with a slot", read)
		}
		if len(slots) != cap(slots)-1 {
			t.Errorf("%d slots are taken though the library asks for the next datagram", len(slots))
		}
		slots <- struct{}{}
		a.write(t, protected(22, 9))
		a.settle()
		data := protected(23, 1)
		a.bring(data)
		if read := received(got); !bytes.Equal(read, data) {
			t.Errorf("a session waits for a slot: %x", read)
		}
		_ = a.Close()
		<-end
		if len(slots) != cap(slots) {
			t.Errorf("%d slots are taken at the end", len(slots))
		}
	})
}

// TestSlotUntilTheReply: the library signs its answer to the second ClientHello while it waits for what comes next; so long
// it has its slot, and at most two milliseconds.
func TestSlotUntilTheReply(t *testing.T) {
	for name, answers := range map[string]bool{"answered": true, "dropped in silence": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, got, end := shaking(t)
				slots := a.conn.front.pending.slots
				a.mu.Lock()
				a.queue = append(a.queue, datagram{data: a.second, from: a.last, second: true})
				a.mu.Unlock()
				a.signal()
				if read := received(got); !bytes.Equal(read, a.second) || len(slots) != 1 {
					t.Errorf("read %x, and %d slots are taken, want 1", read, len(slots))
				}
				start := time.Now()
				if answers {
					a.write(t, plain(22, 2))
				} else {
					time.Sleep(maxReply)
				}
				synctest.Wait()
				if len(slots) != 0 || time.Since(start) > maxReply {
					t.Errorf("%d slots are taken after %v", len(slots), time.Since(start))
				}
				_ = a.Close()
				<-end
			})
		})
	}
}

// TestSlotOfTheDead: an association that ends while the library works for it gives its slot back, once.
func TestSlotOfTheDead(t *testing.T) {
	n := newMemNet()
	f := newFront(Config{Network: n})
	f.greet(n, provenHello(f, clientAddr(1)), udpPath(1))
	c, _ := f.Accept()
	a := c.association.Load()
	if _, _, err := a.ReadFrom(make([]byte, 8192)); err != nil || len(f.pending.slots) != 1 {
		t.Fatalf("ReadFrom() = %v, %d slots are taken", err, len(f.pending.slots))
	}
	_ = c.Close()
	_ = c.Close()
	if len(f.pending.slots) != 0 {
		t.Error("the slot is lost")
	}
	if _, _, err := a.ReadFrom(make([]byte, 10)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("ReadFrom() = %v", err)
	}
	if _, err := a.WriteTo(plain(21, 1, 0), a.last); !errors.Is(err, net.ErrClosed) {
		t.Errorf("WriteTo() = %v", err)
	}
}

// TestHoldAndRelease: what was queued is read to the end, what comes then is kept, and nothing leaves once it is mute.
func TestHoldAndRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, got, end := shaking(t)
		a.write(t, protected(22, 9))
		a.settle()
		before, after := protected(23, 1), protected(23, 2)
		a.bring(before)
		a.hold()
		a.bring(after)
		if read := received(got); !bytes.Equal(read, before) {
			t.Errorf("read %x, want %x", read, before)
		}
		if err := <-end; !errors.Is(err, net.ErrClosed) {
			t.Errorf("it ends with %v", err)
		}
		n := a.conn.front.cfg.Network.(*memNet)
		a.write(t, protected(23, 3))
		a.mute()
		a.write(t, protected(23, 4))
		if sent := n.sentSince(0); len(sent) != 2 {
			t.Errorf("%d datagrams were sent, want 2", len(sent))
		}
		if kept := a.release(); len(kept) != 1 || !bytes.Equal(kept[0].data, after) || kept[0].from.Path != a.conn.origin {
			t.Errorf("%d datagrams were kept", len(kept))
		}
		if a.deliver(n, after, a.conn.origin) {
			t.Error("it takes a datagram that nobody will read")
		}
		_ = a.Close()
	})
}

// TestRepeatedFinished: RFC 6347, Section 4.2.4: a client that repeats its last flight gets ours again, a few times, even when
// it does not number it anew.
func TestRepeatedFinished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, got, end := shaking(t)
		n := a.conn.front.cfg.Network.(*memNet)
		flight := join(plain(20, 1), withCID(1, "123", 7))
		a.write(t, flight)
		a.settle()
		finished := changed(withCID(1, "12345678", 7), 10, 0)
		a.bring(withCID(1, "12345678", 7)) // of another number: the library sees to it
		before := len(n.sentSince(0))
		for range 2 * maxRepeats {
			a.bring(join(plain(22, 16), plain(20, 1), finished))
		}
		sent := n.sentSince(before)
		if len(sent) != maxRepeats {
			t.Errorf("our Finished was sent again %d times, want %d", len(sent), maxRepeats)
		}
		for _, b := range sent {
			if want := n.sentSince(0)[0]; !bytes.Equal(b, want) {
				t.Errorf("%x was sent, want %x", b, want)
			}
		}
		if read := received(got); !bytes.HasPrefix(read, withCID(1, "12345678", 7)) {
			t.Errorf("the library got %x", read)
		}
		_ = a.Close()
		<-end
	})
}

// TestDeadline holds what we lean on of the library: deadlines that move, in virtual time.
func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := deadline.New()
		isOver := func() bool {
			select {
			case <-d.Done():
				return true
			default:
				return false
			}
		}
		start := time.Now()
		wait := func(want time.Duration) {
			t.Helper()
			<-d.Done()
			if got := time.Since(start); got != want {
				t.Errorf("passed at %v, want %v", got, want)
			}
		}
		d.Set(start.Add(time.Second))
		wait(time.Second)
		wait(time.Second) // it stays passed
		d.Set(start.Add(3 * time.Second))
		d.Set(start.Add(2 * time.Second))
		wait(2 * time.Second)
		d.Set(start) // in the past
		wait(2 * time.Second)
		d.Set(time.Time{})
		if isOver() {
			t.Error("passed without a deadline")
		}
		d.Set(start.Add(time.Hour))
		d.Set(time.Time{})
		time.Sleep(2 * time.Hour)
		if isOver() {
			t.Error("a cleared deadline passed")
		}
	})
}
