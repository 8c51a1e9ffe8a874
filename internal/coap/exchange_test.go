package coap

import (
	"encoding/binary"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// held is a handler that keeps every exchange for the test to answer.
type held struct{ all []*Exchange }

func (h *held) ServeCoAP(ex *Exchange) { h.all = append(h.all, ex) }

func (h *held) last() *Exchange { return h.all[len(h.all)-1] }

// RFC 7252, Section 5.2.1 and Section 5.2.3.
func TestImmediateResponse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, SessionConfig{Rand: fixedRand(0), Handler: HandlerFunc(func(ex *Exchange) {
			ex.Respond(&Message{Code: UnprocessableEntity, Options: Options{num(ContentFormat, 271)}, Payload: []byte("no")})
			ex.Respond(&Message{Code: Content}) // ignored
			ex.Silence()
		})})
		r.Input(udp(con, PUT, 500, "12345678", "x"))
		r.want(udp(ack, UnprocessableEntity, 500, "12345678", "no", num(ContentFormat, 271)))
		r.Input(udp(non, PUT, 501, "", "x"))
		r.want(udp(non, UnprocessableEntity, 1, "", "no", num(ContentFormat, 271)))
		time.Sleep(time.Hour)
		r.want()
	})
}

// RFC 7252, Section 5.2.2: an empty ACK in time, then the response as a CON of its own.
func TestSeparateResponse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := new(held)
		r := newRig(t, false, SessionConfig{Rand: fixedRand(0), Handler: h})
		r.Input(udp(con, PUT, 500, "t", "x"))
		time.Sleep(200*time.Millisecond - 1)
		synctest.Wait()
		r.want()
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		r.want(udp(ack, Empty, 500, "", ""))
		// A duplicate gets the ACK again, and does not execute again.
		r.Input(udp(con, PUT, 500, "t", "x"))
		r.want(udp(ack, Empty, 500, "", ""))
		time.Sleep(5 * time.Second)
		h.last().Respond(&Message{Code: Created, Payload: []byte("ok")})
		response := udp(con, Created, 1, "t", "ok")
		r.want(response)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		r.want(response)
		r.Input(udp(con, PUT, 500, "t", "x"))
		r.want(udp(ack, Empty, 500, "", ""))
		r.Input(udp(ack, Empty, 1, "", ""))
		time.Sleep(time.Hour)
		synctest.Wait()
		r.want()
		if len(h.all) != 1 {
			t.Fatalf("executed %d times", len(h.all))
		}
	})
}

func TestSeparateResponseMayBeNON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := new(held)
		r := newRig(t, false, SessionConfig{Rand: fixedRand(0), Handler: h})
		r.Input(udp(con, PUT, 500, "t", "x"))
		time.Sleep(time.Second)
		synctest.Wait()
		r.link.take()
		h.last().Respond(&Message{Code: Created, NonConfirmable: true})
		r.want(udp(non, Created, 1, "t", ""))
	})
}

func TestAckDelayFollowsParameters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, SessionConfig{Handler: new(held)})
		r.SetParameters(Parameters{AckTimeout: 400 * time.Millisecond})
		r.Input(udp(con, PUT, 500, "t", "x"))
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		r.want(udp(ack, Empty, 500, "", ""))
		if got := r.Parameters().AckTimeout; got != 400*time.Millisecond {
			t.Fatal(got)
		}
	})
}

func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, SessionConfig{Handler: HandlerFunc(func(ex *Exchange) { ex.Respond(nil) })})
		r.Input(udp(con, PUT, 500, "t", "x"))
		r.want(udp(ack, Empty, 500, "", ""))
		r.Input(udp(con, PUT, 500, "t", "x"))
		r.want(udp(ack, Empty, 500, "", ""))
		r.Input(udp(non, PUT, 501, "t", "x"))
		r.want()
	})
}

// RFC 7252, Section 4.5: the same request executes once and gets the same answer; a reused id is a new request.
func TestDuplicateRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		count := byte(0)
		r := newRig(t, false, SessionConfig{Rand: fixedRand(0), Handler: HandlerFunc(func(ex *Exchange) {
			count++
			ex.Respond(&Message{Code: Content, Payload: []byte{'0' + count}})
		})})
		in := udp(con, PUT, 500, "t", "x")
		r.Input(in)
		r.Input(in)
		r.want(udp(ack, Content, 500, "t", "1"), udp(ack, Content, 500, "t", "1"))
		in = udp(non, PUT, 600, "t", "x")
		r.Input(in)
		r.Input(in)
		r.want(udp(non, Content, 1, "t", "2"), udp(non, Content, 1, "t", "2"))
		r.Input(udp(con, PUT, 500, "u", "x")) // another token
		r.want(udp(ack, Content, 500, "u", "3"))
		r.Input(udp(non, PUT, 500, "u", "x")) // another type
		r.want(udp(non, Content, 2, "u", "4"))
		if got := r.counters.Duplicates.Load(); got != 2 {
			t.Fatalf("%d duplicates", got)
		}
		time.Sleep(Parameters{}.NonLifetime())
		r.Input(udp(non, PUT, 600, "t", "x"))
		r.want(udp(non, Content, 3, "t", "5"))
	})
}

func TestPendingDuplicateIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := new(held)
		r := newRig(t, false, SessionConfig{Rand: fixedRand(0), Handler: h})
		for range 3 {
			r.Input(udp(non, PUT, 600, "t", "x"))
		}
		r.want()
		h.last().Respond(&Message{Code: Changed})
		r.want(udp(non, Changed, 1, "t", ""))
		r.Input(udp(non, PUT, 600, "t", "x"))
		r.want(udp(non, Changed, 1, "t", ""))
		if len(h.all) != 1 {
			t.Fatalf("executed %d times", len(h.all))
		}
	})
}

func TestTooManyExchanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := new(held)
		r := newRig(t, false, SessionConfig{Handler: h, Limits: Limits{MaxExchanges: 2}})
		r.Input(udp(non, PUT, 1, "a", ""))
		r.Input(udp(non, PUT, 2, "b", ""))
		r.Input(udp(con, PUT, 3, "c", ""))
		r.want(udp(ack, ServiceUnavailable, 3, "c", "too many requests under way", num(MaxAge, 2)))
		if len(h.all) != 2 || r.counters.Refused.Load() != 1 {
			t.Fatalf("%d served, %d refused", len(h.all), r.counters.Refused.Load())
		}
		h.all[0].Silence()
		r.Input(udp(con, PUT, 4, "d", ""))
		if len(h.all) != 3 {
			t.Fatal("there is no room after one ended")
		}
		// An exchange nobody answers does not stay for ever.
		time.Sleep(Parameters{}.ExchangeLifetime() + time.Second)
		synctest.Wait()
		r.mu.Lock()
		left := len(r.exchanges)
		r.mu.Unlock()
		if left != 0 {
			t.Fatalf("%d exchanges left", left)
		}
		r.link.take()
		h.all[1].Respond(&Message{Code: Changed})
		r.want()
	})
}

func TestHandlerPanic(t *testing.T) {
	for _, reliable := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, reliable, SessionConfig{Handler: HandlerFunc(func(ex *Exchange) {
				if len(ex.Request().Payload) > 0 {
					panic("on purpose")
				}
				ex.Respond(&Message{Code: Changed})
			})})
			if reliable {
				r.Input(slices.Concat(tcp(codeCSM, "", ""), tcp(PUT, "a", "x"), tcp(PUT, "b", "")))
				r.want(tcp(Changed, "b", ""))
			} else {
				r.Input(udp(con, PUT, 1, "a", "x"))
				r.Input(udp(con, PUT, 2, "b", ""))
				r.want(udp(ack, Changed, 2, "b", ""))
			}
			if r.counters.Panics.Load() != 1 || r.Err() != nil {
				t.Fatal(r.counters.Panics.Load(), r.Err())
			}
		})
	}
}

func TestNoHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, SessionConfig{})
		r.Input(udp(con, GET, 1, "a", ""))
		r.want(udp(ack, NotFound, 1, "a", "nothing is served here"))
	})
}

func TestUnsendableResponse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, SessionConfig{Handler: HandlerFunc(func(ex *Exchange) {
			ex.Respond(&Message{Code: Content, Options: Options{{ETag, make([]byte, 70000)}}})
		})})
		r.Input(udp(con, GET, 1, "a", ""))
		if p, _ := r.decoded(r.one()); p.code != InternalServerError {
			t.Fatal(p.code)
		}
	})
}

func TestUnsortedOptionsAreSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, SessionConfig{Handler: HandlerFunc(func(ex *Exchange) {
			ex.Respond(&Message{Code: Content, Options: Options{num(MaxAge, 1), opt(ETag, "e")}})
		})})
		r.Input(udp(con, GET, 1, "a", ""))
		r.want(udp(ack, Content, 1, "a", "", opt(ETag, "e"), num(MaxAge, 1)))
	})
}

func TestSessionEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := new(held)
		r := newRig(t, false, SessionConfig{Handler: h})
		r.Input(udp(con, PUT, 1, "a", ""))
		done := doLater(r, get("x"))
		select {
		case <-r.Done():
			t.Fatal("over too early")
		default:
		}
		if r.Err() != nil {
			t.Fatal(r.Err())
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		<-r.Done()
		if err := <-done; !errors.Is(err, ErrClosed) {
			t.Fatal(err)
		}
		r.link.take()
		h.last().Respond(&Message{Code: Changed})
		r.Input(udp(con, Empty, 9, "", ""))
		r.InputClosed(nil)
		time.Sleep(time.Hour)
		r.want()
		if !errors.Is(r.Err(), ErrClosed) || r.link.closed == 0 {
			t.Fatal(r.Err(), r.link.closed)
		}
		if _, err := r.Do(t.Context(), get("x")); !errors.Is(err, ErrClosed) {
			t.Fatal(err)
		}
		if err := r.Close(); err != nil {
			t.Fatal("second Close", err)
		}
	})
}

func TestInputClosedWithError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, SessionConfig{})
		cause := errors.New("cable cut")
		r.InputClosed(cause)
		if !errors.Is(r.Err(), cause) || r.link.closed != 1 {
			t.Fatal(r.Err(), r.link.closed)
		}
	})
}

func TestSessionAccessors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, SessionConfig{Peer: Identity{PSKIdentity: "me"}, Handler: HandlerFunc(echoHandler)})
		if r.Peer().PSKIdentity != "me" || r.ID() == 0 || r.Reliable() || r.RemoteAddr() == nil || r.LocalAddr() == nil {
			t.Fatal("accessors are wrong")
		}
		before := r.LastHeard()
		time.Sleep(time.Minute)
		r.Input(udp(non, Empty, 1, "", ""))
		if got := r.LastHeard().Sub(before); got != time.Minute {
			t.Fatal(got)
		}
		if _, err := NewSession(SessionConfig{}); err == nil {
			t.Fatal("a session without a link")
		}
	})
}

// RFC 7252, Section 4.4: no id of a message under way is used again.
func TestNextMIDSkipsUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, SessionConfig{Rand: fixedRand(0)})
		doLater(r, get("a"))
		first := binary.BigEndian.Uint16(r.one()[2:])
		r.mu.Lock()
		r.mid = first - 1
		got := r.nextMID()
		r.mu.Unlock()
		if got != first+1 {
			t.Fatalf("%d after %d", got, first)
		}
	})
}
