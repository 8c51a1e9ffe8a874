package coap

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// beginLater begins a request and hands on what its end was.
func beginLater(r *rig, req *Message) (*Pending, chan error) {
	r.t.Helper()
	done := make(chan error, 2)
	p, err := r.Begin(req, func(_ *Message, err error) { done <- err })
	if err != nil {
		r.t.Fatal(err)
	}
	return p, done
}

// TestBeginTellsTheResponseOnce, on the goroutine that brought it.
func TestBeginTellsTheResponseOnce(t *testing.T) {
	r := newRig(t, false, SessionConfig{Rand: fixedRand(0)})
	req := put([]byte("x"), "a")
	req.NonConfirmable = true
	var got *Message
	if _, err := r.Begin(req, func(m *Message, err error) {
		if got != nil || err != nil {
			t.Errorf("told %v %v, after %v", m, err, got)
		}
		got = m
	}); err != nil {
		t.Fatal(err)
	}
	answer := udp(non, Changed, 900, string(tokenBytes(1)), "granted")
	r.Input(answer)
	r.Input(answer)
	if got == nil || got.Code != Changed || string(got.Payload) != "granted" {
		t.Errorf("got %+v", got)
	}
}

// TestBeginMayBeCalledByAHandler, and by what is told of another request: no lock is held.
func TestBeginMayBeCalledByAHandler(t *testing.T) {
	var r *rig
	asked := 0
	ask := func() {
		req := put(nil, "a")
		req.NonConfirmable = true
		if _, err := r.Begin(req, func(*Message, error) { asked++ }); err != nil {
			t.Error(err)
		}
	}
	r = newRig(t, false, SessionConfig{Rand: fixedRand(0), Handler: HandlerFunc(func(ex *Exchange) { ask(); ex.Respond(&Message{Code: Changed}) })})
	r.Input(udp(non, PUT, 7, "t", "", opt(UriPath, "b")))
	r.Input(udp(non, Changed, 8, string(tokenBytes(1)), ""))
	if asked != 1 {
		t.Errorf("answered %d times, want once", asked)
	}
}

// TestBeginTellsOfTheEndOfTheSession, and refuses what comes later.
func TestBeginTellsOfTheEndOfTheSession(t *testing.T) {
	r := newRig(t, false, SessionConfig{})
	_, done := beginLater(r, get("a"))
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
	if _, err := r.Begin(get("a"), func(*Message, error) { t.Error("told") }); !errors.Is(err, ErrClosed) {
		t.Errorf("afterwards: got %v, want ErrClosed", err)
	}
}

// TestAbandonedRequestIsForgotten: it is not sent again, and its late response is told to nobody.
func TestAbandonedRequestIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, SessionConfig{Rand: fixedRand(0)})
		req := get("a")
		req.NonConfirmable = true
		p, done := beginLater(r, req)
		p.Abandon()
		p.Abandon()
		r.link.take()
		time.Sleep(time.Hour)
		synctest.Wait()
		r.want()
		r.Input(udp(non, Content, 900, string(tokenBytes(1)), ""))
		if len(done) != 0 || len(r.calls) != 0 {
			t.Errorf("told %d times, %d requests are left", len(done), len(r.calls))
		}
	})
}

// TestBeginRefuses what Do refuses, and over TCP what the peer may not take yet (RFC 8323, Section 5.3.1).
func TestBeginRefuses(t *testing.T) {
	never := func(*Message, error) { t.Error("told") }
	if _, err := newRig(t, false, SessionConfig{}).Begin(&Message{Code: Changed}, never); !errors.Is(err, ErrBadMessage) {
		t.Errorf("a response: got %v, want ErrBadMessage", err)
	}
	busy := newRig(t, false, SessionConfig{Limits: Limits{MaxCalls: 1}})
	if _, err := busy.Begin(get("a"), func(*Message, error) {}); err != nil {
		t.Fatal(err)
	}
	if _, err := busy.Begin(get("a"), never); !errors.Is(err, ErrBusy) {
		t.Errorf("one too many: got %v, want ErrBusy", err)
	}
	early := newRig(t, true, SessionConfig{})
	large := put(pattern(2*baseMessageSize), "a")
	if _, err := early.Begin(large, never); !errors.Is(err, ErrBusy) {
		t.Errorf("before the peer's capabilities: got %v, want ErrBusy", err)
	}
	early.want()
	early.Input(tcp(codeCSM, "", "", num(2, 1<<16)))
	if _, err := early.Begin(large, func(*Message, error) {}); err != nil {
		t.Errorf("after them: %v", err)
	}
}
