package coap

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// RFC 8323, Section 5.3: CSM first, with what we take.
func TestOurCSM(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		link := newTape(true)
		s, err := NewSession(SessionConfig{Link: link, Timers: NewTimers()})
		if err != nil {
			t.Fatal(err)
		}
		s.Start()
		want := tcp(codeCSM, "", "", num(csmMaxMessageSize, 16384), opt(csmBlockWise, ""))
		if got := link.take(); len(got) != 1 || !bytes.Equal(got[0].b, want) {
			t.Fatalf("got %v", got)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if got := link.take(); len(got) != 1 || !bytes.Equal(got[0].b, tcp(codeRelease, "", "")) {
			t.Fatalf("at the end: %v", got)
		}
	})
}

// Every breach of framing or signalling gets Abort and ends the session; everything else is answered and it lives on.
// RFC 8323, Section 3.2, Section 3.4, Sections 5.3 to 5.6.
func TestStreamTable(t *testing.T) {
	csm := tcp(codeCSM, "", "")
	abort := func(reason string, options ...Option) []byte { return tcp(codeAbort, "", reason, options...) }
	bad := "unrecognised critical option"
	for _, tc := range []struct {
		name string
		in   []byte
		out  [][]byte
		err  error // nil: the session lives on
	}{
		{"CSM", csm, nil, nil},
		{"second CSM", slices.Concat(csm, csm), nil, nil},
		{"CSM with unknown elective option", tcp(codeCSM, "", "", opt(6, "x")), nil, nil},
		{"CSM with unknown critical option", tcp(codeCSM, "", "", opt(7, "x")), [][]byte{abort(bad, num(2, 7))}, ErrProtocol},
		{"request before CSM", tcp(GET, "t", ""), [][]byte{abort("CSM expected first")}, ErrProtocol},
		{"ping before CSM", tcp(codePing, "t", ""), [][]byte{abort("CSM expected first")}, ErrProtocol},
		{"empty before CSM", tcp(Empty, "", ""), [][]byte{abort("CSM expected first")}, ErrProtocol},
		{"abort before CSM", tcp(codeAbort, "", "go away"), nil, ErrAborted},
		{"TKL 9", slices.Concat(csm, []byte{0x09}), [][]byte{abort("bad token length")}, ErrProtocol},
		{"TKL 15", slices.Concat(csm, []byte{0x0f, 1}), [][]byte{abort("bad token length")}, ErrProtocol},
		{"too long by 2 bytes", slices.Concat(csm, []byte{0xe0, 0x3f, 0xf0}), [][]byte{abort("message over 16384 bytes")}, ErrProtocol},
		{"too long by 4 bytes", slices.Concat(csm, []byte{0xf0, 0xff, 0xff, 0xff, 0xff}), [][]byte{abort("message over 16384 bytes")}, ErrProtocol},
		{"bad option", slices.Concat(csm, []byte{0x10, 1, 0xf0}), [][]byte{abort("bad option")}, ErrProtocol},
		{"marker without payload", slices.Concat(csm, []byte{0x10, 1, 0xff}), [][]byte{abort("bad option")}, ErrProtocol},
		{"empty", slices.Concat(csm, tcp(Empty, "", ""), tcp(Empty, "t", "x")), nil, nil},
		{"ping", slices.Concat(csm, tcp(codePing, "tok", "")), [][]byte{tcp(codePong, "tok", "")}, nil},
		{"ping without token", slices.Concat(csm, tcp(codePing, "", "")), [][]byte{tcp(codePong, "", "")}, nil},
		{"ping with custody", slices.Concat(csm, tcp(codePing, "a", "", opt(custody, ""))), [][]byte{tcp(codePong, "a", "")}, nil},
		{"ping with unknown critical option", slices.Concat(csm, tcp(codePing, "a", "", opt(1, ""))), [][]byte{abort(bad)}, ErrProtocol},
		{"pong unasked", slices.Concat(csm, tcp(codePong, "a", "")), nil, nil},
		{"release", slices.Concat(csm, tcp(codeRelease, "", "")), nil, ErrClosedByPeer},
		{"release with alternates", slices.Concat(csm, tcp(codeRelease, "", "", opt(2, "a"), opt(2, "b"), num(4, 3))), nil, ErrClosedByPeer},
		{"abort", slices.Concat(csm, tcp(codeAbort, "", "go\naway")), nil, ErrAborted},
		{"unknown signal", slices.Concat(csm, tcp(Code(7<<5|9), "", "")), nil, nil},
		{"class 1", slices.Concat(csm, tcp(Code(1<<5), "t", "")), nil, nil},
		{"class 6", slices.Concat(csm, tcp(Code(6<<5), "t", "")), nil, nil},
		{"unknown response", slices.Concat(csm, tcp(Content, "abcd", "x")), nil, nil},
		{
			"unknown critical option",
			slices.Concat(csm, tcp(GET, "t", "", opt(2049, ""))),
			[][]byte{tcp(BadOption, "t", "unrecognised critical option 2049")},
			nil,
		},
		{"Proxy-Uri", slices.Concat(csm, tcp(GET, "t", "", opt(ProxyUri, "x"))), [][]byte{tcp(ProxyingNotSupported, "t", "not a forward proxy")}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, size := range []int{1, 2, 3, 1000} {
				synctest.Test(t, func(t *testing.T) {
					r := newRig(t, true, SessionConfig{Handler: HandlerFunc(echoHandler)})
					for chunk := range slices.Chunk(tc.in, size) {
						r.Input(chunk)
					}
					r.want(tc.out...)
					if !errors.Is(r.Err(), tc.err) {
						t.Fatalf("chunks of %d: %v, want %v", size, r.Err(), tc.err)
					}
					if (tc.err != nil) != (r.link.closed > 0) {
						t.Fatal("the link was closed or was not")
					}
					if tc.err == nil {
						r.Input(slices.Concat(csm, tcp(PUT, "z", "alive")))
						r.want(tcp(Content, "z", "alive"))
					} else if strings.ContainsAny(r.Err().Error(), "\n") {
						t.Fatal("the peer's text came through raw")
					}
				})
			}
		})
	}
}

// Messages of every length form arrive whole, however the stream is cut.
func TestStreamChunks(t *testing.T) {
	var in, want []byte
	in = append(in, tcp(codeCSM, "", "", num(csmMaxMessageSize, 20000), opt(csmBlockWise, ""))...)
	for _, n := range []int{0, 1, 11, 12, 13, 255, 256, 268, 269, 1000, 5000} {
		body := string(pattern(n))
		in = append(in, tcp(PUT, "token", body)...)
		want = append(want, tcp(Content, "token", body)...)
	}
	for _, size := range []int{1, 7, 100, 1500, len(in)} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, true, SessionConfig{Handler: HandlerFunc(echoHandler)})
			for chunk := range slices.Chunk(bytes.Clone(in), size) {
				r.Input(chunk)
				clear(chunk) // the caller's buffer is its own again
			}
			var got []byte
			for _, rec := range r.link.take() {
				got = append(got, rec.b...)
			}
			if !bytes.Equal(got, want) {
				t.Fatalf("chunks of %d: %d bytes, want %d", size, len(got), len(want))
			}
			if r.stream.rx != nil {
				t.Fatal("a buffer is held for nothing")
			}
		})
	}
}

func TestFrameLength(t *testing.T) {
	for _, tc := range []struct {
		in            []byte
		header, total int
		fails         bool
	}{
		{nil, 0, 0, false},
		{[]byte{0x00}, 1, 2, false},
		{[]byte{0xc8}, 1, 22, false},
		{[]byte{0xd0}, 0, 0, false},
		{[]byte{0xd1, 2}, 2, 2 + 1 + 1 + 15, false},
		{[]byte{0xe0, 0}, 0, 0, false},
		{[]byte{0xe0, 0, 1}, 3, 3 + 1 + 270, false},
		{[]byte{0xf0, 0, 0, 0}, 0, 0, false},
		{[]byte{0xf0, 0, 0, 0, 2}, 5, 5 + 1 + 65807, false},
		{[]byte{0xf0, 0xff, 0xff, 0xff, 0xff}, 0, 0, true},
		{[]byte{0x0a}, 0, 0, true},
	} {
		header, total, err := frameLength(tc.in, 100000)
		if header != tc.header || total != tc.total || (err != nil) != tc.fails {
			t.Errorf("%x: %d %d %v", tc.in, header, total, err)
		}
	}
}

// A peer that says nothing, or begins a message and stops, is not waited for.
func TestStreamDeadlines(t *testing.T) {
	csm := tcp(codeCSM, "", "")
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, true, SessionConfig{})
		time.Sleep(10*time.Second - 1)
		synctest.Wait()
		if r.Err() != nil {
			t.Fatal(r.Err())
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		r.want(tcp(codeAbort, "", "no CSM in time"))
		if !errors.Is(r.Err(), ErrProtocol) {
			t.Fatal(r.Err())
		}
	})
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, true, SessionConfig{Handler: HandlerFunc(echoHandler)})
		r.Input(csm)
		message := tcp(PUT, "t", "12345678")
		r.Input(message[:3]) // begun at 0, finished at 6 s
		time.Sleep(6 * time.Second)
		r.Input(message[3:])
		r.want(tcp(Content, "t", "12345678"))
		time.Sleep(time.Second)
		r.Input(message[:3]) // begun at 7 s
		time.Sleep(4 * time.Second)
		r.Input(message[3:5]) // at 11 s: the deadline stays 17 s
		synctest.Wait()
		time.Sleep(6*time.Second - 1)
		synctest.Wait()
		if r.Err() != nil {
			t.Fatal(r.Err())
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		r.want(tcp(codeAbort, "", "message not finished in time"))
	})
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, true, SessionConfig{Handler: HandlerFunc(echoHandler)})
		r.Input(csm)
		message := tcp(PUT, "t", "12345678")
		r.Input(message[:3])
		time.Sleep(6 * time.Second)
		r.Input(slices.Concat(message[3:], message[:3])) // the second one begins at 6 s
		time.Sleep(10*time.Second - time.Nanosecond)
		synctest.Wait()
		r.want(tcp(Content, "t", "12345678"))
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		r.want(tcp(codeAbort, "", "message not finished in time"))
	})
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, true, SessionConfig{})
		r.Input(csm)
		time.Sleep(time.Hour)
		synctest.Wait()
		if r.Err() != nil {
			t.Fatal("an idle session ended:", r.Err())
		}
	})
}

// RFC 8323, Section 5.4; some peers leave the token of the Pong out.
func TestPingOverTCP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, true, SessionConfig{Rand: fixedRand(0)})
		r.Input(tcp(codeCSM, "", ""))
		result := make(chan error, 2)
		for i := range 2 {
			go func() { result <- r.Ping(t.Context()) }()
			synctest.Wait()
			r.want(tcp(codePing, string(tokenBytes(uint32(i+1))), ""))
		}
		r.Input(tcp(codePong, "none", "")) // nobody's
		r.Input(tcp(codePong, string(tokenBytes(2)), ""))
		synctest.Wait()
		if len(result) != 1 {
			t.Fatal("the second ping is not answered")
		}
		r.Input(tcp(codePong, "", ""))
		synctest.Wait()
		for range 2 {
			if err := <-result; err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := r.Ping(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		if len(r.pings) != 0 || len(r.calls) != 0 {
			t.Fatal("an abandoned ping is still there")
		}
	})
}

// RFC 8323, Section 5.5: after Release what is under way is finished, and nothing new is begun.
func TestReleaseWaitsForWhatIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := new(held)
		r := newRig(t, true, SessionConfig{Rand: fixedRand(0), Handler: h})
		r.Input(tcp(codeCSM, "", ""))
		done := doLater(r, get())
		r.link.take()
		r.Input(slices.Concat(tcp(PUT, "t", "x"), tcp(codeRelease, "", "")))
		if _, err := r.Do(t.Context(), get()); !errors.Is(err, ErrClosedByPeer) {
			t.Fatal(err)
		}
		h.last().Respond(&Message{Code: Changed})
		r.want(tcp(Changed, "t", ""))
		if r.Err() != nil {
			t.Fatal(r.Err())
		}
		r.Input(tcp(Content, string(tokenBytes(1)), ""))
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if !errors.Is(r.Err(), ErrClosedByPeer) {
			t.Fatal(r.Err())
		}
	})
}

func TestWriteErrorEndsStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, true, SessionConfig{Handler: HandlerFunc(echoHandler)})
		r.Input(tcp(codeCSM, "", ""))
		r.link.mu.Lock()
		r.link.fail = io.ErrShortWrite
		r.link.mu.Unlock()
		r.Input(tcp(PUT, "t", "x"))
		if !errors.Is(r.Err(), io.ErrShortWrite) || r.counters.WriteErrors.Load() != 1 {
			t.Fatal(r.Err(), r.counters.WriteErrors.Load())
		}
	})
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, SessionConfig{Handler: HandlerFunc(echoHandler)})
		r.link.fail = io.ErrShortWrite
		r.Input(udp(con, PUT, 1, "t", "x"))
		if r.Err() != nil || r.counters.WriteErrors.Load() != 1 {
			t.Fatal("over UDP a failed write is loss:", r.Err())
		}
	})
}

// RFC 8323, Section 5.3.1 and Section 5.3.2: what the peer takes binds us.
func TestPeerLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body := string(pattern(3000))
		r := newRig(t, true, SessionConfig{Handler: HandlerFunc(func(ex *Exchange) {
			ex.Respond(&Message{Code: Content, Payload: []byte(body)})
		})})
		r.Input(tcp(codeCSM, "", ""))
		if _, err := r.Do(t.Context(), put([]byte(body), "a")); !errors.Is(err, ErrTooLarge) {
			t.Fatal(err)
		}
		r.Input(tcp(GET, "t", ""))
		r.want(tcp(InternalServerError, "t", "response larger than the peer takes"))
		r.Input(tcp(codeCSM, "", "", num(csmMaxMessageSize, 4000)))
		r.Input(tcp(GET, "t", ""))
		r.want(tcp(Content, "t", body))
		r.Input(tcp(codeCSM, "", "", num(csmMaxMessageSize, 1152), opt(csmBlockWise, "")))
		r.Input(tcp(GET, "t", ""))
		if _, m := r.decoded(r.one()); len(m.Payload) != 1024 || !m.Options.Has(Block2) {
			t.Fatalf("%d bytes", len(m.Payload))
		}
	})
}

// RFC 8323, Section 5.3.1: a large request waits for what the peer says it takes.
func TestLargeRequestWaitsForCSM(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, true, SessionConfig{Rand: fixedRand(0)})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := r.Do(ctx, put(pattern(2000))); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		done := doLater(r, put(pattern(2000)))
		r.want()
		r.Input(tcp(codeCSM, "", "", num(csmMaxMessageSize, 4000)))
		synctest.Wait()
		r.want(tcp(PUT, string(tokenBytes(1)), string(pattern(2000))))
		r.Input(tcp(Changed, string(tokenBytes(1)), ""))
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, true, SessionConfig{})
		done := doLater(r, put(pattern(2000)))
		r.InputClosed(nil)
		if err := <-done; !errors.Is(err, ErrClosedByPeer) {
			t.Fatal(err)
		}
	})
}

func TestReleaseEndsObservations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, true, SessionConfig{})
		r.Input(tcp(codeCSM, "", ""))
		b, p, done := startObserving(r, get("a"))
		r.Input(tcp(Content, string(p.token), "0", opt(Observe, "")))
		<-done
		r.Input(tcp(codeRelease, "", ""))
		if b.o.Active() || !errors.Is(r.Err(), ErrClosedByPeer) {
			t.Fatal(r.Err())
		}
	})
}
