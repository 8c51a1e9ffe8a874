package coap

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A panic of an observation's function: over UDP it costs the message, over TCP the session, whose place is lost.
func TestPanicOnTheInputPath(t *testing.T) {
	for _, reliable := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, reliable, SessionConfig{Rand: fixedRand(0)})
			if reliable {
				r.Input(tcp(codeCSM, "", ""))
			}
			go func() { _, _ = r.Observe(t.Context(), get("a"), func(*Message) { panic("on purpose") }) }()
			synctest.Wait()
			p, _ := r.decoded(r.one())
			if reliable {
				r.Input(tcp(Content, string(p.token), "", opt(Observe, "")))
				r.want(tcp(codeAbort, "", "internal error"))
				if !errors.Is(r.Err(), ErrProtocol) {
					t.Fatal(r.Err())
				}
			} else {
				r.Input(udp(ack, Content, p.mid, string(p.token), "", num(Observe, 1)))
				r.Input(udp(con, Empty, 9, "", ""))
				r.want(udp(rst, Empty, 9, "", ""))
			}
			if r.counters.Panics.Load() != 1 {
				t.Fatal(r.counters.Panics.Load())
			}
			_ = r.Close()
		})
	}
}

// A panic costs what panicked, not what is to follow once the lock is free: here that Observe returns.
func TestPanicCostsNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, SessionConfig{Rand: fixedRand(0)})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		result := make(chan error, 1)
		go func() {
			_, err := r.Observe(ctx, get("a"), panicNotice)
			result <- err
		}()
		synctest.Wait()
		p, _ := r.decoded(r.one())
		r.Input(udp(ack, Content, p.mid, string(p.token), "", num(Observe, 1)))
		if err := <-result; err != nil || r.counters.Panics.Load() != 1 {
			t.Fatalf("Observe() = %v, %d panics", err, r.counters.Panics.Load())
		}
	})
}

// Whoever owns the session is shown each panic with its stack, after it was counted and without any lock.
func TestOnPanic(t *testing.T) {
	type shown struct {
		s     *Session
		v     any
		stack string
	}
	record := func(list *[]shown) func(*Session, any, []byte) {
		return func(s *Session, v any, stack []byte) {
			_ = s.Err() // takes the lock
			*list = append(*list, shown{s, v, string(stack)})
		}
	}
	for name, tc := range map[string]struct {
		reliable bool
		cfg      SessionConfig
		act      func(r *rig)
		where    string // a function that the stack shows
		ended    bool
	}{
		"handler over UDP": {cfg: SessionConfig{Handler: HandlerFunc(panicHandler)}, where: "panicHandler", act: func(r *rig) {
			r.Input(udp(non, PUT, 1, "t", ""))
		}},
		"handler over TCP": {reliable: true, cfg: SessionConfig{Handler: HandlerFunc(panicHandler)}, where: "panicHandler", act: func(r *rig) {
			r.Input(slices.Concat(tcp(codeCSM, "", ""), tcp(PUT, "t", "")))
		}},
		"observation over UDP": {where: "panicNotice", act: func(r *rig) {
			p := beginObserving(r, panicNotice)
			r.Input(udp(ack, Content, p.mid, string(p.token), "", num(Observe, 1)))
		}},
		"observation over TCP": {reliable: true, where: "panicNotice", ended: true, act: func(r *rig) {
			r.Input(tcp(codeCSM, "", ""))
			p := beginObserving(r, panicNotice)
			r.Input(tcp(Content, string(p.token), "", opt(Observe, "")))
		}},
		"end of an observation, by a timer": {cfg: SessionConfig{Handler: HandlerFunc(observedThenPanics)}, where: "panicEnd", act: func(r *rig) {
			r.Input(udp(con, GET, 1, "t", "", num(Observe, 0)))
			time.Sleep(time.Minute) // the separate response is never acknowledged
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var all []shown
				tc.cfg.OnPanic = record(&all)
				tc.cfg.Rand = fixedRand(0)
				r := newRig(t, tc.reliable, tc.cfg)
				tc.act(r)
				synctest.Wait()
				if len(all) != 1 || all[0].s != r.Session || all[0].v != "on purpose" || !strings.Contains(all[0].stack, tc.where) {
					t.Fatalf("shown %+v, want one with %s in it", all, tc.where)
				}
				if n := r.counters.Panics.Load(); n != 1 || (r.Err() != nil) != tc.ended {
					t.Fatalf("counted %d, session ended: %v", n, r.Err())
				}
				_ = r.Close()
			})
		})
	}
}

func panicHandler(*Exchange) { panic("on purpose") }

func panicNotice(*Message) { panic("on purpose") }

func panicEnd() { panic("on purpose") }

// observedThenPanics answers late, so that the answer is a CON of its own.
func observedThenPanics(ex *Exchange) {
	go func() {
		time.Sleep(time.Second)
		ex.Observe(state("0"), panicEnd)
	}()
}

// beginObserving is startObserving with a function of one's own.
func beginObserving(r *rig, fn func(*Message)) packet {
	r.link.take()
	go func() { _, _ = r.Observe(context.Background(), get("a"), fn) }()
	synctest.Wait()
	p, _ := r.decoded(r.one())
	return p
}
