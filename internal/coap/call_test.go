package coap

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// RFC 9132, Section 4.4: a NON request is sent again until it is answered, under a fresh message id and the same token.
func TestNONRepetition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, SessionConfig{Rand: fixedRand(0)})
		req := put([]byte("x"), "a")
		req.NonConfirmable = true
		done := doLater(r, req)
		time.Sleep(7 * time.Second)
		synctest.Wait()
		records := r.link.take()
		var at []time.Duration
		for i, rec := range records {
			at = append(at, rec.at)
			want := udp(non, PUT, uint16(i+1), string(tokenBytes(1)), "x", opt(UriPath, "a"))
			if !bytes.Equal(rec.b, want) {
				t.Fatalf("%d: %x, want %x", i, rec.b, want)
			}
		}
		if want := []time.Duration{0, 3 * time.Second, 6 * time.Second}; !slices.Equal(at, want) {
			t.Fatalf("sent at %v, want %v", at, want)
		}
		r.Input(udp(non, Changed, 900, string(tokenBytes(1)), ""))
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		r.Input(udp(non, Changed, 901, string(tokenBytes(1)), "")) // the answer to a repetition: silence
		time.Sleep(time.Minute)
		synctest.Wait()
		r.want()
		if c := r.counters.Values(); c.Unexpected != 1 || c.Retransmissions != 2 {
			t.Fatalf("%+v", c)
		}
	})
}

func TestNONEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, SessionConfig{Parameters: Parameters{RepeatInterval: time.Second}})
		ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
		defer cancel()
		req := get("a")
		req.NonConfirmable = true
		if _, err := r.Do(ctx, req); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		if got := len(r.link.take()); got != 3 {
			t.Fatalf("%d transmissions", got)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		r.want()
		if len(r.calls) != 0 {
			t.Fatal("the request is still there")
		}
	})
}

func TestNONReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, SessionConfig{})
		req := get("a")
		req.NonConfirmable = true
		done := doLater(r, req)
		p, _ := r.decoded(r.one())
		r.Input(udp(rst, Empty, p.mid+1, "", ""))
		r.Input(udp(rst, Empty, p.mid, "", ""))
		if err := <-done; !errors.Is(err, ErrReset) {
			t.Fatal(err)
		}
		if got := r.counters.ResetsIn.Load(); got != 2 {
			t.Fatalf("%d resets", got)
		}
	})
}

func TestDoRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, SessionConfig{Limits: Limits{MaxCalls: 1}})
		if _, err := r.Do(t.Context(), &Message{Code: Content}); !errors.Is(err, ErrBadMessage) {
			t.Fatal(err)
		}
		huge := get("a")
		huge.Options.Add(ProxyUri, make([]byte, 2000))
		if _, err := r.Do(t.Context(), huge); !errors.Is(err, ErrTooLarge) {
			t.Fatal(err)
		}
		if _, err := r.Observe(t.Context(), huge, nil); !errors.Is(err, ErrTooLarge) {
			t.Fatal(err)
		}
		if _, err := r.Observe(t.Context(), put(nil, "a"), nil); !errors.Is(err, ErrBadMessage) {
			t.Fatal(err)
		}
		r.want()
		doLater(r, get("a"))
		if _, err := r.Do(t.Context(), get("a")); !errors.Is(err, ErrBusy) {
			t.Fatal(err)
		}
	})
}

// Either side asks and answers, over both transports.
func TestBothWays(t *testing.T) {
	for _, reliable := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			name := func(text string) Handler {
				return HandlerFunc(func(ex *Exchange) {
					if !slices.Equal(ex.Request().Options.Path(), []string{"who"}) || ex.Request().NonConfirmable && reliable {
						ex.Respond(&Message{Code: NotFound})
						return
					}
					ex.Respond(&Message{Code: Content, Payload: []byte(text), NonConfirmable: true})
				})
			}
			p := newPair(t, reliable, SessionConfig{Handler: name("a")}, SessionConfig{Handler: name("b")})
			for _, nonConfirmable := range []bool{false, true} {
				req := get("who")
				req.NonConfirmable = nonConfirmable
				for s, want := range map[*Session]string{p.a: "b", p.b: "a"} {
					m, err := s.Do(t.Context(), req)
					if err != nil || string(m.Payload) != want {
						t.Fatal(m, err)
					}
					if m.NonConfirmable != (nonConfirmable && !reliable) {
						t.Fatal("a response came with the wrong type")
					}
				}
			}
			for _, s := range []*Session{p.a, p.b} {
				if err := s.Ping(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if m, err := p.a.Do(t.Context(), get("else")); err != nil || m.Code != NotFound {
				t.Fatal(m, err)
			}
		})
	}
}

// lossy drops, doubles and swaps datagrams by a fixed pattern.
func lossy(seed uint32) func([]byte) [][]byte {
	var waiting []byte
	return func(b []byte) [][]byte {
		seed = seed*1664525 + 1013904223
		switch seed >> 29 {
		case 0, 1:
			return nil
		case 2:
			return [][]byte{b, b}
		case 3:
			if waiting == nil {
				waiting = b
				return nil
			}
		}
		out := [][]byte{b}
		if waiting != nil {
			out = append(out, waiting)
			waiting = nil
		}
		return out
	}
}

// RFC 7252, Section 4.2 and Section 4.5: over a bad path every request is executed once and answered once.
func TestLossDuplicationAndReordering(t *testing.T) {
	for seed := range uint32(8) {
		synctest.Test(t, func(t *testing.T) {
			executed := map[string]int{}
			p := newPair(t, false, SessionConfig{}, SessionConfig{Handler: HandlerFunc(func(ex *Exchange) {
				executed[string(ex.Request().Payload)]++
				echoHandler(ex)
			})})
			p.la.hook, p.lb.hook = lossy(seed), lossy(seed+100)
			p.a.SetParameters(Parameters{MaxRetransmit: 12})
			p.b.SetParameters(Parameters{MaxRetransmit: 12})
			for i := range 40 {
				body := []byte{byte(i), 'x'}
				m, err := p.a.Do(t.Context(), put(body, "a"))
				if err != nil || !bytes.Equal(m.Payload, body) {
					t.Fatalf("seed %d request %d: %v %v", seed, i, m, err)
				}
			}
			synctest.Wait()
			for body, n := range executed {
				if n != 1 {
					t.Fatalf("seed %d: %x executed %d times", seed, body, n)
				}
			}
			if len(executed) != 40 {
				t.Fatalf("seed %d: %d executed", seed, len(executed))
			}
		})
	}
}

func TestManyAtOnce(t *testing.T) {
	for _, reliable := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			p := newPair(t, reliable, SessionConfig{}, SessionConfig{Handler: HandlerFunc(func(ex *Exchange) {
				go echoHandler(ex)
			})})
			if reliable {
				p.la.hook, p.lb.hook = chunked(5), chunked(11)
			}
			errs := make(chan error, 100)
			for i := range 100 {
				go func() {
					body := []byte{byte(i), 'x'}
					m, err := p.a.Do(t.Context(), put(body, "a"))
					if err == nil && !bytes.Equal(m.Payload, body) {
						err = errors.New("somebody else's answer")
					}
					errs <- err
				}()
			}
			for range 100 {
				if err := <-errs; err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}
