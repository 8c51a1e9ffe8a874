package coap

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// bodiesSeen is a handler that notes every body it gets.
type bodiesSeen struct{ all [][]byte }

func (h *bodiesSeen) ServeCoAP(ex *Exchange) {
	h.all = append(h.all, bytes.Clone(ex.Request().Payload))
	ex.Respond(&Message{Code: Created})
}

// blockStep is one request of a raw transfer and what comes back.
type blockStep struct {
	token   string
	num     uint32
	more    bool
	payload string
	extra   []Option // behind Block1
	path    string
	code    Code
	szx     uint8 // of 16 bytes unless set
}

func (st blockStep) option() Option {
	return num(Block1, block{num: st.num, more: st.more, szx: st.szx}.value())
}

// RFC 7959, Section 2.5, Section 2.9.2 and Section 2.9.3: the body is put together by path and Request-Tag, whatever the
// token; gaps, oversized and ill-formed blocks are refused.
func TestBlock1Server(t *testing.T) {
	b := func(i int) string { return string(bytes.Repeat([]byte{byte('a' + i)}, 16)) }
	tag := func(text string) []Option { return []Option{opt(RequestTag, text)} }
	for _, tc := range []struct {
		name   string
		steps  []blockStep
		bodies []string
	}{
		{"one token", []blockStep{
			{token: "t", num: 0, more: true, payload: b(0), code: Continue},
			{token: "t", num: 1, more: true, payload: b(1), code: Continue},
			{token: "t", num: 2, payload: "end", code: Created},
		}, []string{b(0) + b(1) + "end"}},
		{"a new token per block", []blockStep{
			{token: "1", num: 0, more: true, payload: b(0), code: Continue},
			{token: "22", num: 1, more: true, payload: b(1), code: Continue},
			{token: "333", num: 2, payload: b(2), code: Created},
		}, []string{b(0) + b(1) + b(2)}},
		{"only block", []blockStep{{num: 0, payload: "all", code: Created}}, []string{"all"}},
		{"empty only block", []blockStep{{num: 0, payload: "", code: Created}}, []string{""}},
		{"gap", []blockStep{
			{num: 0, more: true, payload: b(0), code: Continue},
			{num: 2, payload: "x", code: RequestEntityIncomplete},
		}, nil},
		{"no beginning", []blockStep{{num: 1, payload: "x", code: RequestEntityIncomplete}}, nil},
		{"repeated blocks", []blockStep{
			{num: 0, more: true, payload: b(0), code: Continue},
			{num: 0, more: true, payload: b(0), code: Continue},
			{num: 1, more: true, payload: b(1), code: Continue},
			{num: 0, more: true, payload: b(0), code: Continue},
			{num: 1, more: true, payload: b(1), code: Continue},
			{num: 2, payload: "x", code: Created},
			{num: 2, payload: "x", code: Created},
		}, []string{b(0) + b(1) + "x", b(0) + b(1) + "x"}},
		{"repeated with other bytes", []blockStep{
			{num: 0, more: true, payload: b(0), code: Continue},
			{num: 1, more: true, payload: b(1), code: Continue},
			{num: 1, more: true, payload: b(2), code: RequestEntityIncomplete},
		}, nil},
		{"the end in the middle", []blockStep{
			{num: 0, more: true, payload: b(0), code: Continue},
			{num: 1, more: true, payload: b(1), code: Continue},
			{num: 1, payload: b(1), code: RequestEntityIncomplete},
		}, nil},
		{"begun anew", []blockStep{
			{num: 0, more: true, payload: b(0), code: Continue},
			{num: 1, more: true, payload: b(1), code: Continue},
			{num: 0, more: true, payload: b(5), code: Continue},
			{num: 1, payload: "x", code: Created},
		}, []string{b(5) + "x"}},
		{"the same again after the end", []blockStep{
			{num: 0, more: true, payload: b(0), code: Continue},
			{num: 1, payload: "x", code: Created},
			{num: 0, more: true, payload: b(0), code: Continue},
			{num: 1, payload: "yy", code: Created},
		}, []string{b(0) + "x", b(0) + "yy"}},
		{"two paths at a time", []blockStep{
			{num: 0, more: true, payload: b(0), path: "p", code: Continue},
			{num: 0, more: true, payload: b(1), path: "q", code: Continue},
			{num: 1, payload: "x", path: "p", code: Created},
			{num: 1, payload: "y", path: "q", code: Created},
		}, []string{b(0) + "x", b(1) + "y"}},
		{"two tags at a time", []blockStep{
			{num: 0, more: true, payload: b(0), extra: tag("1"), code: Continue},
			{num: 0, more: true, payload: b(1), extra: tag("2"), code: Continue},
			{num: 1, payload: "x", extra: tag("1"), code: Created},
			{num: 1, payload: "y", extra: tag("2"), code: Created},
		}, []string{b(0) + "x", b(1) + "y"}},
		{"Size1 is no part of the key", []blockStep{
			{num: 0, more: true, payload: b(0), extra: []Option{num(Size1, 17)}, code: Continue},
			{num: 1, payload: "x", code: Created},
		}, []string{b(0) + "x"}},
		{"larger blocks later", []blockStep{
			{num: 0, more: true, payload: b(0), code: Continue},
			{num: 1, more: true, payload: b(1), code: Continue},
			{num: 1, payload: "x", szx: 1, code: Created},
		}, []string{b(0) + b(1) + "x"}},
		{"block too short", []blockStep{{num: 0, more: true, payload: "short", code: BadRequest}}, nil},
		{"block too long", []blockStep{{num: 0, more: true, payload: b(0) + "x", code: BadRequest}}, nil},
		{"last block too long", []blockStep{
			{num: 0, more: true, payload: b(0), code: Continue}, {num: 1, payload: b(0) + "x", code: BadRequest},
		}, nil},
		{"SZX 7 over UDP", []blockStep{{num: 0, more: true, payload: b(0), szx: 7, code: BadRequest}}, nil},
		{"too large by Size1", []blockStep{
			{num: 0, more: true, payload: b(0), extra: []Option{num(Size1, 101)}, code: RequestEntityTooLarge},
		}, nil},
		{"too large by number", []blockStep{{num: 6, payload: b(0), code: RequestEntityTooLarge}}, nil},
		{"as large as may be", []blockStep{
			{num: 0, more: true, payload: b(0) + b(1), szx: 1, code: Continue},
			{num: 1, more: true, payload: b(2) + b(3), szx: 1, code: Continue},
			{num: 2, more: true, payload: b(4) + b(5), szx: 1, code: Continue},
			{num: 3, payload: "1234", szx: 1, code: Created},
		}, []string{b(0) + b(1) + b(2) + b(3) + b(4) + b(5) + "1234"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := new(bodiesSeen)
				r := newRig(t, false, SessionConfig{Handler: h, Limits: Limits{MaxBody: 100}})
				for i, st := range tc.steps {
					options := append([]Option{opt(UriPath, st.path), st.option()}, st.extra...)
					r.Input(udp(con, PUT, uint16(i), st.token, st.payload, options...))
					p, m := r.decoded(r.one())
					if p.code != st.code || string(p.token) != st.token {
						t.Fatalf("step %d: %s %q", i, p.code, m.Payload)
					}
					checkBlock1Answer(t, st, m)
				}
				var got []string
				for _, body := range h.all {
					got = append(got, string(body))
				}
				if !slices.Equal(got, tc.bodies) {
					t.Fatalf("bodies %q\nwant %q", got, tc.bodies)
				}
			})
		})
	}
}

// checkBlock1Answer checks the options a block is answered with.
func checkBlock1Answer(t *testing.T, st blockStep, m *Message) {
	t.Helper()
	v, has := m.Options.Uint(Block1)
	if st.szx != szxBERT && (!has || v != block{num: st.num, more: st.more, szx: st.szx}.value()) {
		t.Fatalf("Block1 %d %v", v, has)
	}
	if st.code == RequestEntityTooLarge {
		if size, ok := m.Options.Uint(Size1); !ok || size != 100 {
			t.Fatalf("Size1 %d", size)
		}
	}
}

func TestBlock1NON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := new(bodiesSeen)
		r := newRig(t, false, SessionConfig{Handler: h, Rand: fixedRand(0)})
		first := string(pattern(16))
		in := udp(non, PUT, 7, "a", first, num(Block1, 8))
		r.Input(in)
		r.want(udp(non, Continue, 1, "a", "", num(Block1, 8)))
		r.Input(in)
		r.want(udp(non, Continue, 1, "a", "", num(Block1, 8)))
		r.Input(udp(non, PUT, 8, "b", "x", num(Block1, 16)))
		r.want(udp(non, Created, 2, "b", "", num(Block1, 16)))
		if len(h.all) != 1 || string(h.all[0]) != first+"x" {
			t.Fatalf("%q", h.all)
		}
	})
}

// Partial bodies are bounded in number and in time; the oldest makes room.
func TestBlock1Bounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := new(bodiesSeen)
		r := newRig(t, false, SessionConfig{Handler: h, Limits: Limits{MaxBodies: 2}})
		mid := uint16(0)
		send := func(path string, n uint32, more bool, want Code) {
			t.Helper()
			mid++
			payload := "x"
			if more {
				payload = string(pattern(16))
			}
			r.Input(udp(con, PUT, mid, "t", payload, opt(UriPath, path), num(Block1, block{num: n, more: more}.value())))
			if p, _ := r.decoded(r.one()); p.code != want {
				t.Fatalf("%s block %d: %s", path, n, p.code)
			}
		}
		send("a", 0, true, Continue)
		send("b", 0, true, Continue)
		send("c", 0, true, Continue)
		send("a", 1, false, RequestEntityIncomplete)
		send("b", 1, false, Created)
		time.Sleep(247*time.Second - 1)
		send("c", 1, true, Continue)
		time.Sleep(time.Nanosecond)
		send("c", 2, false, RequestEntityIncomplete)
		if len(r.bodies) != 0 {
			t.Fatalf("%d bodies left", len(r.bodies))
		}
	})
}

// RFC 8323, Section 6: SZX 7 over TCP stands for several blocks of 1024 bytes at once.
func TestBlock1BERT(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := new(bodiesSeen)
		r := newRig(t, true, SessionConfig{Handler: h})
		r.Input(tcp(codeCSM, "", "", opt(csmBlockWise, "")))
		body := pattern(5000)
		r.Input(tcp(PUT, "a", string(body[:3072]), num(Block1, 0<<4|8|7)))
		r.want(tcp(Continue, "a", "", num(Block1, 0<<4|8|7)))
		r.Input(tcp(PUT, "b", string(body[3072:]), num(Block1, 3<<4|7)))
		r.want(tcp(Created, "b", "", num(Block1, 3<<4|7)))
		if len(h.all) != 1 || !bytes.Equal(h.all[0], body) {
			t.Fatalf("%d bodies", len(h.all))
		}
		r.Input(tcp(PUT, "c", string(body[:1500]), num(Block1, 0<<4|8|7)))
		if p, _ := r.decoded(r.one()); p.code != BadRequest {
			t.Fatal(p.code)
		}
	})
}

// Large bodies both ways, over both transports, CON and NON, also on a bad path.
func TestBlockWiseEndToEnd(t *testing.T) {
	for _, tc := range []struct {
		name     string
		reliable bool
		non      bool
		size     int
		hook     func() func([]byte) [][]byte
	}{
		{name: "CON", size: 3000},
		{name: "NON", non: true, size: 3000},
		{name: "full blocks", size: 4096},
		{name: "as large as may be", size: 16384},
		{name: "CON with loss", size: 5000, hook: func() func([]byte) [][]byte { return lossy(3) }},
		{name: "NON with loss", non: true, size: 5000, hook: func() func([]byte) [][]byte { return lossy(7) }},
		{name: "TCP", reliable: true, size: 3000},
		{name: "TCP with blocks", reliable: true, size: 16384, hook: func() func([]byte) [][]byte { return chunked(700) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPair(t, tc.reliable, SessionConfig{}, SessionConfig{Handler: HandlerFunc(echoHandler)})
				if tc.hook != nil {
					p.la.hook, p.lb.hook = tc.hook(), tc.hook()
				}
				p.a.SetParameters(Parameters{MaxRetransmit: 12})
				synctest.Wait()
				req := put(pattern(tc.size), "big")
				req.NonConfirmable = tc.non
				m, err := p.a.Do(t.Context(), req)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(m.Payload, req.Payload) || m.Code != Content {
					t.Fatalf("%s with %d bytes", m.Code, len(m.Payload))
				}
				for _, l := range []*tape{p.la, p.lb} {
					for _, rec := range l.take() {
						if !tc.reliable && len(rec.b) > 1152 {
							t.Fatalf("a datagram of %d bytes", len(rec.b))
						}
					}
				}
			})
		})
	}
}

func TestBlock1Refused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, false, SessionConfig{}, SessionConfig{Handler: HandlerFunc(echoHandler)})
		m, err := p.a.Do(t.Context(), put(pattern(16385), "big"))
		if err != nil || m.Code != RequestEntityTooLarge {
			t.Fatal(m, err)
		}
		if v, _ := m.Options.Uint(Size1); v != 16384 {
			t.Fatal(v)
		}
	})
}

// RFC 7959, Section 2.3, Section 2.9.2 and Section 2.9.3: as a client, what the server says about block sizes and gaps is
// followed; nonsense ends the transfer.
func TestBlock1Client(t *testing.T) {
	body := pattern(2500)
	type answer struct {
		code   Code
		block  *block // nil: no Block1
		expect block  // of the request it answers
	}
	at := func(n uint32, more bool, szx uint8) block { return block{n, more, szx} }
	is := func(n uint32, more bool, szx uint8) *block { return &block{n, more, szx} }
	for _, tc := range []struct {
		name    string
		answers []answer
		code    Code
		err     error
	}{
		{"straight", []answer{
			{Continue, is(0, true, 6), at(0, true, 6)},
			{Continue, is(1, true, 6), at(1, true, 6)},
			{Changed, is(2, false, 6), at(2, false, 6)},
		}, Changed, nil},
		{"smaller blocks wanted", []answer{
			{Continue, is(0, true, 5), at(0, true, 6)},
			{Continue, is(2, true, 5), at(2, true, 5)},
			{Continue, is(3, true, 5), at(3, true, 5)},
			{Changed, is(4, false, 5), at(4, false, 5)},
		}, Changed, nil},
		{"first block too large", []answer{
			{RequestEntityTooLarge, is(0, true, 5), at(0, true, 6)},
			{Changed, nil, at(0, true, 5)},
		}, Changed, nil},
		{"refused in the middle", []answer{
			{Continue, is(0, true, 6), at(0, true, 6)},
			{Conflict, nil, at(1, true, 6)},
		}, Conflict, nil},
		{"forgotten once", []answer{
			{Continue, is(0, true, 6), at(0, true, 6)},
			{RequestEntityIncomplete, nil, at(1, true, 6)},
			{Continue, is(0, true, 6), at(0, true, 6)},
			{Continue, is(1, true, 6), at(1, true, 6)},
			{Changed, is(2, false, 6), at(2, false, 6)},
		}, Changed, nil},
		{"forgotten for ever", []answer{
			{RequestEntityIncomplete, nil, at(0, true, 6)},
			{RequestEntityIncomplete, nil, at(0, true, 6)},
			{RequestEntityIncomplete, nil, at(0, true, 6)},
			{RequestEntityIncomplete, nil, at(0, true, 6)},
		}, RequestEntityIncomplete, nil},
		{"another block acknowledged", []answer{{Continue, is(1, true, 6), at(0, true, 6)}}, 0, ErrBadResponse},
		{"2.31 without a block", []answer{{Continue, nil, at(0, true, 6)}}, 0, ErrBadResponse},
		{"2.31 for the last block", []answer{
			{Continue, is(0, true, 6), at(0, true, 6)},
			{Continue, is(1, true, 6), at(1, true, 6)},
			{Continue, is(2, false, 6), at(2, false, 6)},
		}, 0, ErrBadResponse},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, false, SessionConfig{})
				type result struct {
					m   *Message
					err error
				}
				done := make(chan result, 1)
				go func() {
					m, err := r.Do(t.Context(), put(body, "a"))
					done <- result{m, err}
				}()
				for i, a := range tc.answers {
					synctest.Wait()
					p, m := r.decoded(r.one())
					got, _, _ := blockOf(m.Options, Block1)
					end := min(got.offset()+blockSize(got.szx), len(body))
					if got != a.expect || !bytes.Equal(m.Payload, body[got.offset():end]) || !m.Options.Has(RequestTag) {
						t.Fatalf("block %d: %+v, want %+v", i, got, a.expect)
					}
					var options []Option
					if a.block != nil {
						options = append(options, num(Block1, a.block.value()))
					}
					r.Input(udp(ack, a.code, p.mid, string(p.token), "", options...))
				}
				got := <-done
				if !errors.Is(got.err, tc.err) || tc.err == nil && got.m.Code != tc.code {
					t.Fatalf("%v %v", got.m, got.err)
				}
				r.want()
				if len(r.calls) != 0 {
					t.Fatal("a request is left")
				}
			})
		})
	}
}

func ExampleCode_String() {
	fmt.Println(Created, HopLimitReached)
	// Output: 2.01 5.08
}
