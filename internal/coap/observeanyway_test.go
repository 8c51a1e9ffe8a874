package coap

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// anyway begins an observation whose registration is answered without the Observe option.
func anyway(t *testing.T, reliable bool) (r *rig, b *begun, token string) {
	t.Helper()
	r = newRig(t, reliable, SessionConfig{Rand: fixedRand(0)})
	if reliable {
		r.Input(tcp(codeCSM, "", ""))
	}
	req := get("a")
	req.NonConfirmable = true
	b, p, done := startWith(r, r.ObserveAnyway, req)
	token = string(p.token)
	if reliable {
		r.Input(tcp(Content, token, "0"))
	} else {
		r.Input(udp(non, Content, 900, token, "0"))
	}
	<-done
	if b.err != nil || b.o.Active() || !slices.Equal(b.got, []string{"2.05 0"}) || len(r.calls) != 1 {
		t.Fatalf("error %v, active %v, got %q, %d calls", b.err, b.o != nil && b.o.Active(), b.got, len(r.calls))
	}
	return r, b, token
}

// Known servers leave the option out of their first response, against RFC 7641, Section 4.1, and notify from then on,
// counting from 1.
func TestObserveAnyway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, b, token := anyway(t, false)
		time.Sleep(time.Minute)
		synctest.Wait()
		r.want() // the request is answered and not sent again
		r.Input(udp(non, Content, 901, token, "1", num(Observe, 1)))
		if !b.o.Active() {
			t.Fatal("not active with a notification")
		}
		r.Input(udp(non, Content, 902, token, "2", num(Observe, 2)))
		r.Input(udp(non, Content, 903, token, "stale", num(Observe, 1)))
		r.Input(udp(non, Content, 904, token, "late answer to the request"))
		r.Input(udp(non, Content, 905, token, "3", num(Observe, 3)))
		r.want()
		if want := []string{"2.05 0", "2.05 1", "2.05 2", "2.05 3"}; !slices.Equal(b.got, want) || !b.o.Active() {
			t.Fatalf("got %q, want %q; active %v", b.got, want, b.o.Active())
		}
		// RFC 7641, Section 4.2: an error ends it.
		r.Input(udp(non, NotFound, 906, token, "gone"))
		if b.o.Active() || len(r.calls) != 0 {
			t.Fatal("an error did not end it")
		}
		r.Input(udp(non, Content, 907, token, "x", num(Observe, 4)))
		r.want(udp(rst, Empty, 907, "", ""))
	})
}

func TestObserveAnywayOverTCP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, b, token := anyway(t, true)
		r.Input(slices.Concat(tcp(Content, token, "1", opt(Observe, "")), tcp(Content, token, "2", opt(Observe, ""))))
		if want := []string{"2.05 0", "2.05 1", "2.05 2"}; !slices.Equal(b.got, want) || !b.o.Active() {
			t.Fatalf("got %q, want %q; active %v", b.got, want, b.o.Active())
		}
	})
}

// A server that does register us is none the worse for it.
func TestObserveAnywayOfAServerThatSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, SessionConfig{Rand: fixedRand(0)})
		b, p, done := startWith(r, r.ObserveAnyway, get("a"))
		r.Input(udp(ack, Content, p.mid, string(p.token), "0", num(Observe, 10)))
		<-done
		if b.err != nil || !b.o.Active() {
			t.Fatal(b.err)
		}
	})
}

func TestObserveAnywayRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, SessionConfig{Rand: fixedRand(0)})
		b, p, done := startWith(r, r.ObserveAnyway, get("a"))
		r.Input(udp(ack, NotFound, p.mid, string(p.token), ""))
		<-done
		if b.err != nil || b.o.Active() || len(r.calls) != 0 {
			t.Fatal(b.err, len(r.calls))
		}
	})
}

// Cancelling before any notification tells the peer nothing: if one comes after all, its RST ends the observation
// (RFC 7641, Section 3.6).
func TestCancelBeforeAnyNotification(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, b, token := anyway(t, false)
		if err := b.o.Cancel(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.want()
		r.Input(udp(non, Content, 901, token, "1", num(Observe, 1)))
		r.want(udp(rst, Empty, 901, "", ""))
		if len(b.got) != 1 || b.o.Active() || len(r.calls) != 0 {
			t.Fatalf("got %q after the end, %d calls", b.got, len(r.calls))
		}
	})
}

// One that became active is cancelled as any other: RFC 7641, Section 3.6.
func TestCancelAfterANotification(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, b, token := anyway(t, false)
		r.Input(udp(non, Content, 901, token, "1", num(Observe, 1)))
		result := make(chan error, 1)
		go func() { result <- b.o.Cancel(t.Context()) }()
		synctest.Wait()
		p, m := r.decoded(r.one())
		if v, ok := m.Options.Uint(Observe); string(p.token) != token || v != 1 || !ok {
			t.Fatalf("sent %+v", m)
		}
		r.Input(udp(non, Content, 902, token, "2"))
		if err := <-result; err != nil {
			t.Fatal(err)
		}
	})
}

func TestObserveAnywayEndsWithTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, b, _ := anyway(t, false)
		_ = r.Close()
		synctest.Wait()
		if b.o.Active() || len(b.got) != 1 {
			t.Fatal(b.got)
		}
		if err := b.o.Cancel(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}
