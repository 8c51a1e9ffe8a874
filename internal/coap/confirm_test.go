package coap

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// RFC 7252, Section 4.2: the first wait is drawn, then doubled; after MAX_RETRANSMIT the message is given up.
func TestRetransmission(t *testing.T) {
	const half, zero, almost = fixedRand(1 << 63), fixedRand(0), fixedRand(math.MaxUint64)
	sec := time.Second
	for _, tc := range []struct {
		name   string
		rand   fixedRand
		p      Parameters
		at     []time.Duration
		giveUp time.Duration
	}{
		{"least", zero, Parameters{}, []time.Duration{0, 2 * sec, 6 * sec, 14 * sec}, 30 * sec},
		{"middle", half, Parameters{}, []time.Duration{0, 2500 * time.Millisecond, 7500 * time.Millisecond, 17500 * time.Millisecond}, 37500 * time.Millisecond},
		{"negotiated", half, Parameters{AckTimeout: sec, AckRandomFactor: 3, MaxRetransmit: 1}, []time.Duration{0, 2 * sec}, 6 * sec},
		{"factor 1", almost, Parameters{AckRandomFactor: 1}, []time.Duration{0, 2 * sec, 6 * sec, 14 * sec}, 30 * sec},
		{"never again", zero, Parameters{MaxRetransmit: -1}, []time.Duration{0}, 2 * sec},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, false, SessionConfig{Rand: tc.rand, Parameters: tc.p})
				start := time.Now()
				_, err := r.Do(t.Context(), get("a"))
				if !errors.Is(err, ErrTimeout) || time.Since(start) != tc.giveUp {
					t.Fatalf("%v after %v, want %v", err, time.Since(start), tc.giveUp)
				}
				records := r.link.take()
				var at []time.Duration
				for _, rec := range records {
					at = append(at, rec.at)
					if !slices.Equal(rec.b, records[0].b) {
						t.Fatal("a retransmission differs")
					}
				}
				if !slices.Equal(at, tc.at) {
					t.Fatalf("sent at %v, want %v", at, tc.at)
				}
				if c := r.counters.Values(); c.Timeouts != 1 || c.Retransmissions != uint64(len(tc.at)-1) {
					t.Fatalf("%+v", c)
				}
			})
		})
	}
}

// doLater runs Do beside the test.
func doLater(r *rig, req *Message) <-chan error {
	done := make(chan error, 1)
	go func() {
		_, err := r.Do(context.Background(), req)
		done <- err
	}()
	synctest.Wait()
	return done
}

// RFC 7252, Section 4.2: an ACK ends the retransmission, an RST the request. RFC 7252, Section 5.2.2: an empty ACK is
// not the response.
func TestAckAndReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, SessionConfig{Rand: fixedRand(0)})
		done := doLater(r, get("a"))
		p, _ := r.decoded(r.one())
		r.Input(udp(ack, Empty, p.mid+1, "", "")) // of something else
		time.Sleep(2 * time.Second)
		synctest.Wait()
		r.one()
		r.Input(udp(ack, Empty, p.mid, "", ""))
		time.Sleep(time.Hour)
		synctest.Wait()
		r.want()
		r.Input(udp(con, Content, 77, string(p.token), "late"))
		r.want(udp(ack, Empty, 77, "", ""))
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		// The peer did not see our ACK.
		r.Input(udp(con, Content, 77, string(p.token), "late"))
		r.want(udp(ack, Empty, 77, "", ""))

		done = doLater(r, get("a"))
		p, _ = r.decoded(r.one())
		r.Input(udp(rst, Empty, p.mid, "", ""))
		if err := <-done; !errors.Is(err, ErrReset) {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		r.want()
	})
}

// RFC 7252, Section 5.3.2: a piggybacked response must match in message id and token.
func TestPiggybackedResponseMatching(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, SessionConfig{Rand: fixedRand(0)})
		done := doLater(r, get("a"))
		p, _ := r.decoded(r.one())
		token := string(p.token)
		r.Input(udp(ack, Content, p.mid+1, token, "wrong id"))
		r.Input(udp(ack, Content, p.mid, "nope", "wrong token"))
		r.Input(udp(ack, Content, p.mid, token+"x", "wrong length"))
		r.Input(udp(ack, Content, p.mid, "", "no token"))
		synctest.Wait()
		select {
		case err := <-done:
			t.Fatal("a wrong response was taken", err)
		default:
		}
		r.Input(udp(ack, Content, p.mid, token, "right"))
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		r.Input(udp(ack, Content, p.mid, token, "again"))
		r.want()
		if got := r.counters.Unexpected.Load(); got != 5 {
			t.Fatalf("%d unexpected", got)
		}
	})
}

// RFC 7252, Section 5.4.1: a response with an unknown critical option is rejected.
func TestBadOptionInResponse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, SessionConfig{Rand: fixedRand(0)})
		done := doLater(r, get("a"))
		p, _ := r.decoded(r.one())
		r.Input(udp(non, Content, 50, string(p.token), "", opt(2049, "")))
		r.want()
		r.Input(udp(con, Content, 51, string(p.token), "", opt(2049, "")))
		r.want(udp(rst, Empty, 51, "", ""))
		r.Input(udp(con, Content, 52, string(p.token), "", opt(2050, ""))[:9])
		r.want(udp(rst, Empty, 52, "", ""))
		r.Input(udp(ack, Content, p.mid, string(p.token), "", opt(2049, "")))
		if err := <-done; !errors.Is(err, ErrBadResponse) {
			t.Fatal(err)
		}
	})
}

// RFC 7252, Section 4.3.
func TestPingOverUDP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, SessionConfig{Rand: fixedRand(0)})
		result := make(chan error, 1)
		ping := func() []byte {
			go func() { result <- r.Ping(t.Context()) }()
			synctest.Wait()
			return r.one()
		}
		for _, typ := range []int{rst, ack} {
			b := ping()
			if b[0] != 0x40 || b[1] != 0 || len(b) != 4 {
				t.Fatalf("not an empty CON: %x", b)
			}
			r.Input(udp(typ, Empty, binary.BigEndian.Uint16(b[2:]), "", ""))
			if err := <-result; err != nil {
				t.Fatal(err)
			}
		}
		start := time.Now()
		ping()
		if err := <-result; !errors.Is(err, ErrTimeout) || time.Since(start) != 30*time.Second {
			t.Fatal(err, time.Since(start))
		}
		r.link.take()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := r.Ping(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		r.link.take()
		time.Sleep(time.Minute)
		r.want() // an abandoned ping is not sent again
	})
}

func TestPingEndsWithSession(t *testing.T) {
	for _, reliable := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, reliable, SessionConfig{})
			result := make(chan error, 1)
			go func() { result <- r.Ping(t.Context()) }()
			synctest.Wait()
			r.InputClosed(nil)
			if err := <-result; !errors.Is(err, ErrClosedByPeer) {
				t.Fatal(err)
			}
			if err := r.Ping(t.Context()); !errors.Is(err, ErrClosedByPeer) {
				t.Fatal(err)
			}
		})
	}
}
