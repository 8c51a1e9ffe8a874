package coap

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// watched is a handler that lets everybody observe it.
type watched struct {
	observers []*Observer
	ended     []int
	first     *Message
	nils      int
}

func (w *watched) ServeCoAP(ex *Exchange) {
	first := w.first
	if first == nil {
		first = &Message{Code: Content, Payload: []byte("0")}
	}
	n := len(w.observers)
	o := ex.Observe(first, func() { w.ended = append(w.ended, n) })
	if o == nil {
		w.nils++
		return
	}
	w.observers = append(w.observers, o)
}

func state(text string) *Message { return &Message{Code: Content, Payload: []byte(text)} }

func observeRig(t *testing.T, w *watched, limits Limits) *rig {
	return newRig(t, false, SessionConfig{Rand: fixedRand(0), Handler: w, Limits: limits})
}

// RFC 7641, Section 4.1, Section 4.2 and Section 4.4.
func TestObserverNotifies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := new(watched)
		r := observeRig(t, w, Limits{NotifyInterval: -1})
		r.Input(udp(con, GET, 500, "tok", "", num(Observe, 0), opt(UriPath, "a")))
		r.want(udp(ack, Content, 500, "tok", "0", num(Observe, 1)))
		w.observers[0].Notify(state("1"))
		w.observers[0].Notify(state("2"))
		r.want(udp(non, Content, 1, "tok", "1", num(Observe, 2)), udp(non, Content, 2, "tok", "2", num(Observe, 3)))
		w.observers[0].Notify(&Message{Code: NotFound, Options: Options{num(Observe, 9)}})
		r.want(udp(non, NotFound, 3, "tok", ""))
		w.observers[0].Notify(state("3"))
		w.observers[0].Close()
		r.want()
		if w.ended != nil || len(r.observers) != 0 {
			t.Fatal("our own end was reported", w.ended)
		}
	})
}

// RFC 7641, Section 4.5.1: notifications are paced; a newer one replaces one that waits.
func TestObserverCoalesces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := new(watched)
		r := observeRig(t, w, Limits{})
		r.Input(udp(con, GET, 500, "t", "", num(Observe, 0)))
		r.link.take()
		for i := range 5 {
			w.observers[0].Notify(state(fmt.Sprint(i)))
		}
		r.want(udp(non, Content, 1, "t", "0", num(Observe, 2)))
		time.Sleep(3*time.Second - 1)
		synctest.Wait()
		r.want()
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		r.want(udp(non, Content, 2, "t", "4", num(Observe, 3)))
		time.Sleep(time.Hour)
		synctest.Wait()
		r.want()
		w.observers[0].Notify(state("5"))
		r.want(udp(non, Content, 3, "t", "5", num(Observe, 4)))
		w.observers[0].Notify(state("6"))
		w.observers[0].Close()
		time.Sleep(time.Hour)
		synctest.Wait()
		r.want()
	})
}

// RFC 7641, Section 3.6: RST, Observe 1 and the end of the session end an observation, and its owner is told once.
func TestObserverEnds(t *testing.T) {
	for name, end := range map[string]func(r *rig, w *watched){
		"RST of the newest": func(r *rig, _ *watched) { r.Input(udp(rst, Empty, 2, "", "")) },
		"RST of an older":   func(r *rig, _ *watched) { r.Input(udp(rst, Empty, 1, "", "")) },
		"Observe 1":         func(r *rig, _ *watched) { r.Input(udp(con, GET, 501, "t", "", num(Observe, 1))) },
		"session closed":    func(r *rig, _ *watched) { _ = r.Close() },
		"peer gone":         func(r *rig, _ *watched) { r.InputClosed(nil) },
		"nobody there": func(r *rig, w *watched) {
			r.link.mu.Lock()
			r.link.fail = fmt.Errorf("write: %w", syscall.ECONNREFUSED)
			r.link.mu.Unlock()
			w.observers[0].Notify(state("x"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := new(watched)
				r := observeRig(t, w, Limits{NotifyInterval: -1})
				r.Input(udp(con, GET, 500, "t", "", num(Observe, 0)))
				w.observers[0].Notify(state("1"))
				w.observers[0].Notify(state("2"))
				r.link.take()
				r.Input(udp(rst, Empty, 99, "", "")) // of something else
				if w.ended != nil {
					t.Fatal("ended too early")
				}
				end(r, w)
				w.observers[0].Notify(state("3"))
				w.observers[0].Close()
				_ = r.Close()
				if !slices.Equal(w.ended, []int{0}) {
					t.Fatalf("ended: %v", w.ended)
				}
				for _, rec := range r.link.take() {
					if p, _ := r.decoded(rec.b); p.typ == non {
						t.Fatal("a notification after the end")
					}
				}
			})
		})
	}
}

// RFC 7641, Section 4.1: registering again with the same token replaces; Observe 1 is answered like a plain GET.
func TestObserverReplacedAndDeregistered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := new(watched)
		r := observeRig(t, w, Limits{NotifyInterval: -1})
		r.Input(udp(con, GET, 500, "t", "", num(Observe, 0)))
		r.Input(udp(con, GET, 501, "t", "", num(Observe, 0)))
		r.want(udp(ack, Content, 500, "t", "0", num(Observe, 1)), udp(ack, Content, 501, "t", "0", num(Observe, 2)))
		if len(w.observers) != 2 || !slices.Equal(w.ended, []int{0}) || len(r.observers) != 1 {
			t.Fatal(len(w.observers), w.ended)
		}
		r.Input(udp(con, GET, 502, "t", "", num(Observe, 1)))
		r.want(udp(ack, Content, 502, "t", "0"))
		if !slices.Equal(w.ended, []int{0, 1}) || w.nils != 1 {
			t.Fatal(w.ended, w.nils)
		}
	})
}

// RFC 7641, Section 3.6: Observe 1 also takes back a registration that is not answered yet.
func TestRegistrationTakenBack(t *testing.T) {
	for _, reliable := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			h := new(held)
			r := newRig(t, reliable, SessionConfig{Rand: fixedRand(0), Handler: h})
			if reliable {
				r.Input(slices.Concat(tcp(codeCSM, "", ""), tcp(GET, "t", "", num(Observe, 0)),
					tcp(GET, "u", "", num(Observe, 0)), tcp(GET, "t", "", num(Observe, 1))))
			} else {
				r.Input(udp(non, GET, 500, "t", "", num(Observe, 0)))
				r.Input(udp(non, GET, 501, "u", "", num(Observe, 0)))
				r.Input(udp(non, GET, 502, "t", "", num(Observe, 1)))
			}
			for i, want := range []bool{false, true, false} {
				if got := h.all[i].Observe(state("0"), nil) != nil; got != want {
					t.Errorf("request %d registered: %v, want %v", i, got, want)
				}
				if _, m := r.decoded(r.one()); m.Code != Content || m.Options.Has(Observe) != want {
					t.Errorf("request %d answered %v, %v", i, m.Code, m.Options)
				}
			}
		})
	}
}

func TestNotObserved(t *testing.T) {
	for name, tc := range map[string]struct {
		in    []byte
		first *Message
		code  Code
	}{
		"plain GET":      {in: udp(con, GET, 1, "t", ""), code: Content},
		"Observe 2":      {in: udp(con, GET, 1, "t", "", num(Observe, 2)), code: Content},
		"PUT":            {in: udp(con, PUT, 1, "t", "x", num(Observe, 0)), code: Content},
		"an error first": {in: udp(con, GET, 1, "t", "", num(Observe, 0)), first: &Message{Code: NotFound}, code: NotFound},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &watched{first: tc.first}
				r := observeRig(t, w, Limits{})
				r.Input(tc.in)
				p, m := r.decoded(r.one())
				if p.code != tc.code || m.Options.Has(Observe) || w.nils != 1 || len(r.observers) != 0 {
					t.Fatal(p.code, m.Options, w.nils)
				}
			})
		})
	}
}

func TestObserverLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := new(watched)
		r := observeRig(t, w, Limits{MaxObservers: 2})
		for i, token := range []string{"a", "b", "c", "a"} {
			r.Input(udp(con, GET, uint16(i), token, "", num(Observe, 0)))
		}
		if len(w.observers) != 3 || w.nils != 1 || len(r.observers) != 2 || r.counters.Refused.Load() != 1 {
			t.Fatal(len(w.observers), w.nils, len(r.observers))
		}
	})
}

// RFC 9132, Section 4.4.2.1: notifications are NON, however long nobody confirmed one.
func TestNotificationsAreNeverConfirmable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := new(watched)
		r := observeRig(t, w, Limits{})
		r.Input(udp(con, GET, 500, "t", "", num(Observe, 0)))
		r.link.take()
		for i := range 3 {
			time.Sleep(25 * time.Hour)
			w.observers[0].Notify(state("1"))
			r.want(udp(non, Content, uint16(i+1), "t", "1", num(Observe, uint32(i+2))))
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		r.want()
		if w.ended != nil {
			t.Fatal(w.ended)
		}
	})
}

// RFC 8323, Section 7.1: over TCP the option is empty, and nothing is paced.
func TestObserverOverTCP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := new(watched)
		r := newRig(t, true, SessionConfig{Handler: w})
		r.Input(slices.Concat(tcp(codeCSM, "", ""), tcp(GET, "t", "", num(Observe, 0))))
		w.observers[0].Notify(state("1"))
		w.observers[0].Notify(state("2"))
		r.want(
			tcp(Content, "t", "0", opt(Observe, "")), tcp(Content, "t", "1", opt(Observe, "")), tcp(Content, "t", "2", opt(Observe, "")))
		r.Input(tcp(GET, "t", "", num(Observe, 1)))
		r.want(tcp(Content, "t", "0"))
		if !slices.Equal(w.ended, []int{0}) {
			t.Fatal(w.ended)
		}
	})
}

// A peer over TCP that knows no blocks cannot be told what is too large for it. That ends the observation, or does not
// begin it, and its owner knows.
func TestObserverOfTooLargeAState(t *testing.T) {
	large := &Message{Code: Content, Payload: pattern(2000)}
	for name, tc := range map[string]struct {
		first *Message
		nils  int
		ended []int
	}{
		"first": {large, 1, nil},
		"later": {state("0"), 0, []int{0}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &watched{first: tc.first}
				r := newRig(t, true, SessionConfig{Handler: w})
				r.Input(slices.Concat(tcp(codeCSM, "", ""), tcp(GET, "t", "", num(Observe, 0))))
				if len(w.observers) == 1 {
					r.want(tcp(Content, "t", "0", opt(Observe, "")))
					w.observers[0].Notify(large)
				}
				r.want(tcp(InternalServerError, "t", "response larger than the peer takes"))
				if w.nils != tc.nils || !slices.Equal(w.ended, tc.ended) || len(r.observers) != 0 {
					t.Fatalf("%d refused, ended %v, %d observers", w.nils, w.ended, len(r.observers))
				}
			})
		})
	}
}

func TestSeparateRegistrationReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := new(held)
		r := newRig(t, false, SessionConfig{Rand: fixedRand(0), Handler: h})
		r.Input(udp(con, GET, 500, "t", "", num(Observe, 0)))
		time.Sleep(time.Second)
		synctest.Wait()
		r.link.take()
		ended := 0
		if h.last().Observe(state("0"), func() { ended++ }) == nil {
			t.Fatal("not registered")
		}
		r.want(udp(con, Content, 1, "t", "0", num(Observe, 1)))
		r.Input(udp(rst, Empty, 1, "", ""))
		if ended != 1 {
			t.Fatal(ended)
		}
		if h.last().Observe(state("1"), nil) != nil {
			t.Fatal("an exchange was answered twice")
		}
	})
}

// begun is an observation of ours as a raw test drives it.
type begun struct {
	o   *Observation
	err error
	got []string
}

// startObserving registers beside the test and returns the header of the request.
func startObserving(r *rig, req *Message) (*begun, packet, chan struct{}) {
	return startWith(r, r.Observe, req)
}

// observe is Session.Observe or Session.ObserveAnyway.
type observe func(context.Context, *Message, func(*Message)) (*Observation, error)

// startWith is startObserving by either way.
func startWith(r *rig, observe observe, req *Message) (*begun, packet, chan struct{}) {
	b := new(begun)
	done := make(chan struct{})
	go func() {
		b.o, b.err = observe(context.Background(), req, func(m *Message) {
			b.got = append(b.got, fmt.Sprintf("%s %s", m.Code, m.Payload))
		})
		close(done)
	}()
	synctest.Wait()
	p, _ := r.decoded(r.one())
	return b, p, done
}

// RFC 7641, Section 3.2 and Section 3.4: the order of notifications; stale ones are dropped, CON ones acknowledged.
func TestObservationOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, SessionConfig{Rand: fixedRand(0)})
		b, p, done := startObserving(r, get("a"))
		token := string(p.token)
		r.Input(udp(ack, Content, p.mid, token, "0", num(Observe, 10)))
		<-done
		if b.err != nil || !b.o.Active() {
			t.Fatal(b.err)
		}
		r.Input(udp(non, Content, 1, token, "1", num(Observe, 12)))
		r.Input(udp(non, Content, 2, token, "stale", num(Observe, 11)))
		r.Input(udp(non, Content, 3, token, "same", num(Observe, 12)))
		r.want()
		r.Input(udp(con, Content, 4, token, "2", num(Observe, 13)))
		r.Input(udp(con, Content, 4, token, "2", num(Observe, 13)))
		r.want(udp(ack, Empty, 4, "", ""), udp(ack, Empty, 4, "", ""))
		r.Input(udp(non, Content, 5, token, "half a turn ahead", num(Observe, 13+1<<23)))
		r.Input(udp(non, Content, 6, token, "3", num(Observe, 13+1<<23-1)))
		r.Input(udp(non, Content, 7, token, "4", num(Observe, 5))) // wrapped around
		time.Sleep(128*time.Second + 1)
		r.Input(udp(non, Content, 8, token, "5", num(Observe, 1))) // after so long anything is newer
		r.Input(udp(non, NotFound, 9, token, "gone"))
		want := []string{"2.05 0", "2.05 1", "2.05 2", "2.05 3", "2.05 4", "2.05 5", "4.04 gone"}
		if !slices.Equal(b.got, want) {
			t.Fatalf("got %q\nwant %q", b.got, want)
		}
		if b.o.Active() || len(r.calls) != 0 {
			t.Fatal("an error did not end it")
		}
		r.want()
		r.Input(udp(non, Content, 10, token, "x", num(Observe, 20)))
		r.want(udp(rst, Empty, 10, "", ""))
		if err := b.o.Cancel(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.want()
	})
}

func TestObservationNotRegistered(t *testing.T) {
	for _, code := range []Code{Content, NotFound} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, false, SessionConfig{})
			b, p, done := startObserving(r, get("a"))
			r.Input(udp(ack, code, p.mid, string(p.token), "x"))
			<-done
			if b.err != nil || b.o.Active() || len(b.got) != 1 || len(r.calls) != 0 {
				t.Fatal(b.err, b.got)
			}
		})
	}
}

func TestObservationFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, SessionConfig{})
		b, p, done := startObserving(r, get("a"))
		r.Input(udp(rst, Empty, p.mid, "", ""))
		<-done
		if !errors.Is(b.err, ErrReset) || len(b.got) != 0 {
			t.Fatal(b.err, b.got)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := r.Observe(ctx, get("a"), nil); !errors.Is(err, context.DeadlineExceeded) || len(r.calls) != 0 {
			t.Fatal(err)
		}
		r.link.take()
		b, _, done = startObserving(r, get("a"))
		_ = r.Close()
		<-done
		if !errors.Is(b.err, ErrClosed) {
			t.Fatal(b.err)
		}
	})
}

// When the rest of the first response cannot be had, nobody has a handle on the observation, so it is over.
func TestObservationWhoseFirstResponseIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, SessionConfig{Rand: fixedRand(0)})
		b, p, done := startObserving(r, get("a"))
		r.Input(udp(ack, Content, p.mid, string(p.token), strings.Repeat("x", 16), num(Observe, 1), num(Block2, 8)))
		next, _ := r.decoded(r.one())
		r.Input(udp(rst, Empty, next.mid, "", ""))
		<-done
		if !errors.Is(b.err, ErrReset) || len(b.got) != 0 || len(r.calls) != 0 {
			t.Fatal(b.err, b.got, len(r.calls))
		}
		r.Input(udp(non, Content, 1, string(p.token), "late", num(Observe, 2)))
		r.want(udp(rst, Empty, 1, "", ""))
	})
}

// RFC 7641, Section 3.6: the cancellation has the token of the registration; a notification is not its response.
func TestObservationCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, SessionConfig{Rand: fixedRand(0)})
		b, p, done := startObserving(r, get("a"))
		token := string(p.token)
		r.Input(udp(ack, Content, p.mid, token, "0", num(Observe, 1)))
		<-done
		result := make(chan error, 1)
		go func() { result <- b.o.Cancel(t.Context()) }()
		synctest.Wait()
		r.want(udp(con, GET, p.mid+1, token, "", num(Observe, 1), opt(UriPath, "a")))
		r.Input(udp(non, Content, 1, token, "1", num(Observe, 2)))
		synctest.Wait()
		if len(result) != 0 {
			t.Fatal("a notification was taken for the response")
		}
		r.Input(udp(ack, Content, p.mid+1, token, "2"))
		if err := <-result; err != nil {
			t.Fatal(err)
		}
		if len(b.got) != 1 || b.o.Active() || len(r.calls) != 0 {
			t.Fatal(b.got)
		}
	})
}

// Two sessions observe each other's resources over both transports.
func TestObserveEndToEnd(t *testing.T) {
	for _, reliable := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := new(watched)
			p := newPair(t, reliable, SessionConfig{}, SessionConfig{Handler: w})
			var got []string
			o, err := p.a.Observe(t.Context(), get("a"), func(m *Message) { got = append(got, string(m.Payload)) })
			if err != nil || !o.Active() {
				t.Fatal(err)
			}
			synctest.Wait()
			for _, text := range []string{"1", "2", "3"} {
				w.observers[0].Notify(state(text))
				time.Sleep(4 * time.Second)
			}
			synctest.Wait()
			if !slices.Equal(got, []string{"0", "1", "2", "3"}) {
				t.Fatalf("got %q", got)
			}
			if err := o.Cancel(t.Context()); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if !slices.Equal(w.ended, []int{0}) {
				t.Fatal("the server was not told")
			}
		})
	}
}

func TestObservationEndsWithSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := new(watched)
		p := newPair(t, true, SessionConfig{}, SessionConfig{Handler: w})
		o, err := p.a.Observe(t.Context(), get("a"), func(*Message) {})
		if err != nil {
			t.Fatal(err)
		}
		_ = p.b.Close()
		<-p.a.Done()
		if o.Active() || !errors.Is(p.a.Err(), ErrClosedByPeer) {
			t.Fatal(o.Active(), p.a.Err())
		}
		if err := o.Cancel(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}
