package coap

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// only lets through the records whose index is listed, for tests that lose exactly one thing.
func only(keep func(i int) bool) func([]byte) [][]byte {
	i := -1
	return func(b []byte) [][]byte {
		i++
		if keep(i) {
			return [][]byte{b}
		}
		return nil
	}
}

// RFC 7252, Section 4.2 and Section 5.2.2: whichever single datagram is lost, the request is executed once and answered.
func TestEachSingleLoss(t *testing.T) {
	for _, separate := range []bool{false, true} {
		for _, fromServer := range []bool{false, true} {
			for lost := range 3 {
				t.Run(fmt.Sprintf("separate=%v server=%v lost=%d", separate, fromServer, lost), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						executed := 0
						p := newPair(t, false, SessionConfig{}, SessionConfig{Handler: HandlerFunc(func(ex *Exchange) {
							executed++
							if !separate {
								echoHandler(ex)
								return
							}
							go func() {
								time.Sleep(time.Second)
								echoHandler(ex)
							}()
						})})
						link := p.la
						if fromServer {
							link = p.lb
						}
						link.hook = only(func(i int) bool { return i != lost })
						m, err := p.a.Do(t.Context(), put([]byte("x"), "a"))
						if err != nil || string(m.Payload) != "x" {
							t.Fatal(m, err)
						}
						time.Sleep(time.Minute)
						synctest.Wait()
						if executed != 1 {
							t.Fatalf("executed %d times", executed)
						}
						if len(p.a.cons)+len(p.b.cons)+len(p.a.calls)+len(p.b.exchanges) != 0 {
							t.Fatal("something is left over")
						}
					})
				})
			}
		}
	}
}

// Whichever single datagram of a block-wise transfer is lost, both bodies arrive whole.
func TestEachSingleLossOfBlocks(t *testing.T) {
	for _, fromServer := range []bool{false, true} {
		for lost := range 6 {
			synctest.Test(t, func(t *testing.T) {
				executed := 0
				p := newPair(t, false, SessionConfig{}, SessionConfig{Handler: HandlerFunc(func(ex *Exchange) {
					executed++
					echoHandler(ex)
				})})
				link := p.la
				if fromServer {
					link = p.lb
				}
				link.hook = only(func(i int) bool { return i != lost })
				m, err := p.a.Do(t.Context(), put(pattern(2500), "a"))
				if err != nil || !bytes.Equal(m.Payload, pattern(2500)) {
					t.Fatal(lost, err)
				}
				synctest.Wait()
				if executed != 1 {
					t.Fatalf("executed %d times", executed)
				}
			})
		}
	}
}

// RFC 7641, Section 3.4: over a bad path notifications may be lost, but what arrives is in order and ends with the newest.
func TestNotificationsOnABadPath(t *testing.T) {
	for seed := range uint32(6) {
		synctest.Test(t, func(t *testing.T) {
			w := new(watched)
			p := newPair(t, false, SessionConfig{}, SessionConfig{Handler: w, Limits: Limits{NotifyInterval: -1}})
			var got []string
			if _, err := p.a.Observe(t.Context(), get("a"), func(m *Message) { got = append(got, string(m.Payload)) }); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			p.lb.hook = lossy(seed)
			for i := range 50 {
				w.observers[0].Notify(state(fmt.Sprintf("%03d", i+1)))
			}
			p.lb.mu.Lock()
			p.lb.hook = nil
			p.lb.mu.Unlock()
			w.observers[0].Notify(state("999"))
			synctest.Wait()
			if !slices.IsSorted(got[1:]) || got[len(got)-1] != "999" || len(slices.Compact(slices.Clone(got))) != len(got) {
				t.Fatalf("seed %d: %q", seed, got)
			}
			if len(got) < 10 {
				t.Fatalf("seed %d: only %d arrived", seed, len(got))
			}
		})
	}
}

// Everything at once, from many goroutines, with the session ending in the middle: nothing blocks, nothing is lost track of.
func TestConcurrentUse(t *testing.T) {
	for _, reliable := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var mu sync.Mutex
			var observers []*Observer
			p := newPair(t, reliable, SessionConfig{Handler: HandlerFunc(echoHandler)}, SessionConfig{Handler: HandlerFunc(func(ex *Exchange) {
				if !ex.Request().Options.Has(Observe) {
					go echoHandler(ex)
					return
				}
				if o := ex.Observe(state("0"), func() {}); o != nil {
					mu.Lock()
					observers = append(observers, o)
					mu.Unlock()
				}
			})})
			var wg sync.WaitGroup
			for i := range 20 {
				wg.Go(func() {
					for range 5 {
						_, _ = p.a.Do(t.Context(), put(pattern(i*150), "a"))
						_, _ = p.b.Do(t.Context(), put([]byte{byte(i)}, "b"))
					}
				})
				wg.Go(func() {
					if o, err := p.a.Observe(t.Context(), get(fmt.Sprint(i)), func(*Message) {}); err == nil && i%2 == 0 {
						_ = o.Cancel(t.Context())
					}
				})
				wg.Go(func() { _ = p.a.Ping(t.Context()); p.b.SetParameters(Parameters{}) })
				wg.Go(func() {
					mu.Lock()
					defer mu.Unlock()
					for _, o := range observers {
						o.Notify(state("n"))
					}
				})
			}
			wg.Go(func() {
				time.Sleep(50 * time.Millisecond)
				_ = p.b.Close()
			})
			wg.Wait()
			<-p.a.Done()
			<-p.b.Done()
			synctest.Wait()
			for _, s := range []*Session{p.a, p.b} {
				if len(s.calls)+len(s.exchanges)+len(s.observers)+len(s.cons) != 0 || s.counters.Panics.Load() != 0 {
					t.Fatalf("left: %d calls, %d exchanges, %d observers", len(s.calls), len(s.exchanges), len(s.observers))
				}
			}
			if n := len(p.a.timers.heap); n != 0 {
				t.Fatalf("%d timers left", n)
			}
		})
	}
}

// Responses over TCP: RFC 7252, Section 5.4.1 and Section 5.3.2.
func TestStreamResponses(t *testing.T) {
	for name, tc := range map[string]struct {
		answer func(token string) []byte
		err    error
		wait   bool // the request goes on waiting
	}{
		"answered":                {func(token string) []byte { return tcp(Content, token, "x") }, nil, false},
		"unknown critical option": {func(token string) []byte { return tcp(Content, token, "x", opt(2049, "")) }, ErrBadResponse, false},
		"another token":           {func(string) []byte { return tcp(Content, "none", "x") }, nil, true},
		"no token":                {func(string) []byte { return tcp(Content, "", "x") }, nil, true},
		"bad Block2":              {func(token string) []byte { return tcp(Content, token, "x", num(Block2, 5<<4)) }, ErrBadResponse, false},
		"abort":                   {func(string) []byte { return tcp(codeAbort, "", "x") }, ErrAborted, false},
		"framing error":           {func(string) []byte { return []byte{0x0f} }, ErrProtocol, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, true, SessionConfig{})
				r.Input(tcp(codeCSM, "", ""))
				done := doLater(r, get("a"))
				p, _ := r.decoded(r.one())
				r.Input(tc.answer(string(p.token)))
				synctest.Wait()
				if tc.wait {
					if len(done) != 0 || r.counters.Unexpected.Load() != 1 {
						t.Fatal("somebody else's response was taken")
					}
					r.Input(tcp(Content, string(p.token), ""))
				}
				if err := <-done; !errors.Is(err, tc.err) {
					t.Fatal(err)
				}
			})
		})
	}
}

// Cancelling that goes wrong still ends the observation.
func TestCancelFails(t *testing.T) {
	for name, tc := range map[string]struct {
		answer func(r *rig, p packet)
		err    error
	}{
		"RST":         {func(r *rig, p packet) { r.Input(udp(rst, Empty, p.mid, "", "")) }, ErrReset},
		"no answer":   {func(*rig, packet) {}, ErrTimeout},
		"session end": {func(r *rig, _ packet) { r.InputClosed(nil) }, ErrClosedByPeer},
		"an error is an answer": {func(r *rig, p packet) {
			r.Input(udp(ack, NotFound, p.mid, string(p.token), ""))
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, false, SessionConfig{Rand: fixedRand(0)})
				b, p, done := startObserving(r, get("a"))
				r.Input(udp(ack, Content, p.mid, string(p.token), "0", num(Observe, 1)))
				<-done
				result := make(chan error, 1)
				go func() { result <- b.o.Cancel(t.Context()) }()
				synctest.Wait()
				p, _ = r.decoded(r.one())
				tc.answer(r, p)
				if err := <-result; !errors.Is(err, tc.err) {
					t.Fatal(err)
				}
				if b.o.Active() || len(r.calls) != 0 {
					t.Fatal("the observation goes on")
				}
			})
		})
	}
}

func TestCancelEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, SessionConfig{})
		b, p, done := startObserving(r, get("a"))
		r.Input(udp(ack, Content, p.mid, string(p.token), "0", num(Observe, 1)))
		<-done
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := b.o.Cancel(ctx); !errors.Is(err, context.DeadlineExceeded) || len(r.calls) != 0 {
			t.Fatal(err)
		}
	})
}

// A large notification whose other blocks cannot be had is left out; the next one counts.
func TestNotificationRestFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, SessionConfig{Rand: fixedRand(0)})
		b, p, done := startObserving(r, get("a"))
		token := string(p.token)
		r.Input(udp(ack, Content, p.mid, token, "0", num(Observe, 1)))
		<-done
		large := func(mid uint16, sequence uint32) packet {
			r.Input(udp(non, Content, mid, token, string(pattern(16)), opt(ETag, "e"), num(Observe, sequence), num(Block2, 8)))
			asked, _ := r.decoded(r.one())
			return asked
		}
		asked := large(1, 2)
		r.Input(udp(rst, Empty, asked.mid, "", ""))
		asked = large(2, 3)
		r.Input(udp(ack, Content, asked.mid, string(asked.token), "out of order", opt(ETag, "e"), num(Block2, 5<<4)))
		asked = large(3, 4)
		r.Input(udp(ack, Content, asked.mid, string(asked.token), "!", opt(ETag, "e"), num(Block2, 1<<4)))
		if want := []string{"2.05 0", "2.05 " + string(pattern(16)) + "!"}; !slices.Equal(b.got, want) || !b.o.Active() {
			t.Fatalf("got %q", b.got)
		}
	})
}

// A peer that never stops cannot make the session hold more than its limits say.
func TestFloodStaysBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := new(held)
		r := newRig(t, false, SessionConfig{Handler: h, Limits: Limits{MaxExchanges: 10, MaxRemembered: 20, MaxBodies: 3}})
		for i := range 2000 {
			token := string(binary.BigEndian.AppendUint32(nil, uint32(i)))
			switch i % 4 {
			case 0:
				r.Input(udp(non, PUT, uint16(i), token, "x"))
			case 1:
				r.Input(udp(con, PUT, uint16(i), token, string(pattern(16)), opt(UriPath, fmt.Sprint(i)), num(Block1, 8)))
			case 2:
				r.Input(udp(con, Content, uint16(i), token, "x"))
			case 3:
				r.Input(udp(con, GET, uint16(i), token, "", opt(2049, "")))
			}
		}
		if len(r.exchanges) != 10 || r.seen.held() != 20 || len(r.bodies) != 3 {
			t.Fatalf("%d exchanges, %d remembered, %d bodies", len(r.exchanges), r.seen.held(), len(r.bodies))
		}
		if len(h.all) != 10 || r.Err() != nil {
			t.Fatalf("%d served, %v", len(h.all), r.Err())
		}
	})
}

// Over TCP an exchange that nobody answers does not stay for ever, and a late answer is ignored.
func TestUnansweredOverTCP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := new(held)
		r := newRig(t, true, SessionConfig{Handler: h})
		r.Input(slices.Concat(tcp(codeCSM, "", ""), tcp(GET, "t", "")))
		time.Sleep(Parameters{}.ExchangeLifetime())
		synctest.Wait()
		h.last().Respond(state("late"))
		r.want()
		if h.last().Session() != r.Session || len(r.exchanges) != 0 {
			t.Fatal("the exchange is still there")
		}
		r.Input(tcp(GET, "u", ""))
		h.last().Silence()
		r.want()
	})
}
