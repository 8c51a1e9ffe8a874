package coap

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// large is a handler whose body is new at every request.
type large struct {
	size, served int
}

func (h *large) body(n int) []byte { return append([]byte{byte(n)}, pattern(h.size-1)...) }

func (h *large) ServeCoAP(ex *Exchange) {
	h.served++
	ex.Respond(&Message{Code: Content, Options: Options{num(ContentFormat, 271)}, Payload: h.body(h.served)})
}

func ask(mid uint16, token string, options ...Option) []byte {
	return udp(con, GET, mid, token, "", options...)
}

func b2(n uint32, szx uint8) Option { return num(Block2, block{num: n, szx: szx}.value()) }

// RFC 7959, Section 2.4: all blocks come from the body of the first one, with its ETag, in the size asked for.
func TestBlock2Server(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &large{size: 3000}
		r := newRig(t, false, SessionConfig{Handler: h})
		want := h.body(1)
		r.Input(ask(1, "a", opt(UriPath, "x"), num(Size2, 0)))
		_, m := r.decoded(r.one())
		etag, ok := m.Options.Get(ETag)
		if b, _, _ := blockOf(m.Options, Block2); b != (block{0, true, 6}) || !ok || !bytes.Equal(m.Payload, want[:1024]) {
			t.Fatalf("%+v %x", b, etag)
		}
		if v, has := m.Options.Uint(Size2); !has || v != 3000 {
			t.Fatal("Size2", v)
		}
		for i, tc := range []struct {
			num   uint32
			szx   uint8
			from  int
			to    int
			more  bool
			fails bool
		}{
			{1, 6, 1024, 2048, true, false},
			{2, 6, 2048, 3000, false, false},
			{2, 6, 2048, 3000, false, false}, // again
			{4, 5, 2048, 2560, true, false},  // smaller
			{187, 0, 2992, 3000, false, false},
			{3, 6, 0, 0, false, true},
			{188, 0, 0, 0, false, true},
			{1 << 19, 6, 0, 0, false, true},
		} {
			r.Input(ask(uint16(10+i), "bb", opt(UriPath, "x"), b2(tc.num, tc.szx)))
			p, m := r.decoded(r.one())
			if tc.fails {
				if p.code != BadRequest {
					t.Fatalf("block %d: %s", tc.num, p.code)
				}
				continue
			}
			b, _, _ := blockOf(m.Options, Block2)
			tag, _ := m.Options.Get(ETag)
			cf, _ := m.Options.Uint(ContentFormat)
			if b != (block{tc.num, tc.more, tc.szx}) || !bytes.Equal(m.Payload, want[tc.from:tc.to]) || !bytes.Equal(tag, etag) || cf != 271 {
				t.Fatalf("block %d: %+v with %d bytes", tc.num, b, len(m.Payload))
			}
		}
		if h.served != 1 {
			t.Fatalf("the handler ran %d times", h.served)
		}
		r.Input(ask(50, "c", opt(UriPath, "x"), b2(0, 6))) // from the beginning: anew
		if _, m := r.decoded(r.one()); m.Payload[0] != 2 || h.served != 2 {
			t.Fatal(m.Payload[0])
		}
	})
}

func TestBlock2Negotiation(t *testing.T) {
	for _, tc := range []struct {
		name    string
		size    int
		options []Option
		want    *block
		length  int
	}{
		{"fits", 1000, nil, nil, 1000},
		{"fits, larger asked", 1000, []Option{b2(0, 6)}, nil, 1000},
		{"fits, smaller asked", 1000, []Option{b2(0, 2)}, &block{0, true, 2}, 64},
		{"exactly a block", 64, []Option{b2(0, 2)}, nil, 64},
		{"too large, smaller asked", 3000, []Option{b2(0, 4)}, &block{0, true, 4}, 256},
		{"too large", DefaultMaxDatagram, nil, &block{0, true, 6}, 1024},
		{"later block without a snapshot", 3000, []Option{b2(2, 6)}, &block{2, false, 6}, 952},
		{"later block of what fits", 1000, []Option{b2(1, 4)}, &block{1, true, 4}, 256},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &large{size: tc.size}
				r := newRig(t, false, SessionConfig{Handler: h})
				r.Input(ask(1, "12345678", tc.options...))
				raw := r.one()
				_, m := r.decoded(raw)
				b, has, _ := blockOf(m.Options, Block2)
				if has != (tc.want != nil) || has && b != *tc.want || len(m.Payload) != tc.length || len(raw) > DefaultMaxDatagram {
					t.Fatalf("%v %+v with %d bytes", has, b, len(m.Payload))
				}
			})
		})
	}
}

// Snapshots are bounded in number and time. RFC 7959, Section 2.4: without one a GET is served anew, with another ETag.
func TestBlock2Bounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &large{size: 2000}
		r := newRig(t, false, SessionConfig{Handler: h, Limits: Limits{MaxBodies: 2}})
		for i, path := range []string{"a", "b", "c"} {
			r.Input(ask(uint16(i), "t", opt(UriPath, path)))
		}
		r.link.take()
		r.Input(ask(10, "t", opt(UriPath, "b"), b2(1, 6)))
		if r.one(); h.served != 3 {
			t.Fatal("a kept response was made anew")
		}
		r.Input(ask(11, "t", opt(UriPath, "a"), b2(1, 6)))
		if r.one(); h.served != 4 || len(r.snapshots) != 2 {
			t.Fatal("the oldest was kept", len(r.snapshots))
		}
		time.Sleep(247 * time.Second)
		r.Input(ask(12, "t", opt(UriPath, "a"), b2(1, 6)))
		if r.one(); h.served != 5 {
			t.Fatal("an expired response was served")
		}
		r.Input(udp(con, PUT, 13, "t", "", opt(UriPath, "z"), b2(1, 6)))
		if p, _ := r.decoded(r.one()); p.code != RequestEntityIncomplete || h.served != 5 {
			t.Fatal("a PUT was executed for its second block", p.code)
		}
	})
}

// A repeated request for a block costs no more than its answer.
func TestBlock2RepeatedBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &large{size: 16000}
		r := newRig(t, false, SessionConfig{Handler: h})
		r.Input(ask(0, "t"))
		for i := range uint16(500) {
			r.Input(ask(i+1, "t", b2(uint32(i%15+1), 6)))
		}
		if h.served != 1 || len(r.snapshots) != 1 || r.seen.bytes > maxReplyBytes {
			t.Fatalf("%d snapshots, %d bytes of replies", len(r.snapshots), r.seen.bytes)
		}
	})
}

// RFC 7959, Section 2.6: a large notification has its first block; the rest is fetched without Observe.
func TestBlock2Notification(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &watched{first: &Message{Code: Content, Payload: pattern(2000)}}
		r := observeRig(t, w, Limits{NotifyInterval: -1})
		r.Input(ask(1, "t", num(Observe, 0), opt(UriPath, "a")))
		_, m := r.decoded(r.one())
		if v, ok := m.Options.Uint(Observe); !ok || v != 1 || len(m.Payload) != 1024 {
			t.Fatal("the registration lost its option", v, ok, len(m.Payload))
		}
		body := slices.Concat([]byte("new"), pattern(2000))
		w.observers[0].Notify(&Message{Code: Content, Payload: body})
		_, m = r.decoded(r.one())
		b, _, _ := blockOf(m.Options, Block2)
		if v, ok := m.Options.Uint(Observe); !ok || v != 2 || b != (block{0, true, 6}) || !bytes.Equal(m.Payload, body[:1024]) {
			t.Fatal(v, ok, b)
		}
		r.Input(ask(2, "u", opt(UriPath, "a"), b2(1, 6)))
		_, m = r.decoded(r.one())
		if !bytes.Equal(m.Payload, body[1024:]) || m.Options.Has(Observe) {
			t.Fatal("the rest is not that of the notification")
		}
	})
}

func TestObserveLargeEndToEnd(t *testing.T) {
	for _, reliable := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := &watched{first: &Message{Code: Content, Payload: pattern(20000)}}
			p := newPair(t, reliable, SessionConfig{}, SessionConfig{Handler: w})
			synctest.Wait()
			var got [][]byte
			o, err := p.a.Observe(t.Context(), get("a"), func(m *Message) { got = append(got, m.Payload) })
			if err != nil || !o.Active() {
				t.Fatal(err)
			}
			synctest.Wait()
			body := slices.Concat([]byte("new"), pattern(20000))
			w.observers[0].Notify(&Message{Code: Content, Payload: body})
			time.Sleep(time.Minute)
			synctest.Wait()
			if len(got) != 2 || !bytes.Equal(got[0], w.first.Payload) || !bytes.Equal(got[1], body) {
				t.Fatalf("%d notifications", len(got))
			}
		})
	}
}

// A newer notification ends the fetching of an older one.
func TestObservationSuperseded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, SessionConfig{Rand: fixedRand(0)})
		b, p, done := startObserving(r, get("a"))
		token := string(p.token)
		r.Input(udp(ack, Content, p.mid, token, "0", num(Observe, 1)))
		<-done
		r.Input(udp(non, Content, 1, token, string(pattern(16)), opt(ETag, "e"), num(Observe, 2), num(Block2, 8)))
		asked, m := r.decoded(r.one())
		if v, _, _ := blockOf(m.Options, Block2); v.num != 1 || m.Options.Has(Observe) {
			t.Fatalf("%+v", v)
		}
		r.Input(udp(non, Content, 2, token, "3", num(Observe, 3)))
		r.Input(udp(ack, Content, asked.mid, string(asked.token), "rest", opt(ETag, "e"), num(Block2, 16)))
		if want := []string{"2.05 0", "2.05 3"}; !slices.Equal(b.got, want) {
			t.Fatalf("got %q", b.got)
		}
		if len(r.calls) != 1 {
			t.Fatalf("%d requests left", len(r.calls))
		}
	})
}

// RFC 7959, Section 2.4: as a client, blocks of one ETag are put together; a changed one begins anew, thrice at most.
func TestBlock2Client(t *testing.T) {
	part := func(i int) string { return string(bytes.Repeat([]byte{byte('a' + i)}, 16)) }
	type answer struct {
		num     uint32
		more    bool
		etag    string
		payload string
		code    Code
		expect  uint32 // number asked for
		szx     uint8
	}
	for _, tc := range []struct {
		name    string
		answers []answer
		body    string
		code    Code
		err     error
	}{
		{"straight", []answer{
			{num: 0, more: true, etag: "1", payload: part(0)},
			{num: 1, more: true, etag: "1", payload: part(1), expect: 1},
			{num: 2, etag: "1", payload: "z", expect: 2},
		}, part(0) + part(1) + "z", Content, nil},
		{"without ETag", []answer{
			{num: 0, more: true, payload: part(0)}, {num: 1, payload: "z", expect: 1},
		}, part(0) + "z", Content, nil},
		{"one block", []answer{{num: 0, payload: "z"}}, "z", Content, nil},
		{"changed once", []answer{
			{num: 0, more: true, etag: "1", payload: part(0)},
			{num: 1, etag: "2", payload: "z", expect: 1},
			{num: 0, more: true, etag: "2", payload: part(1), expect: 0},
			{num: 1, etag: "2", payload: "y", expect: 1},
		}, part(1) + "y", Content, nil},
		{"changing for ever", []answer{
			{num: 0, more: true, etag: "1", payload: part(0)},
			{num: 1, etag: "2", payload: "z", expect: 1},
			{num: 0, more: true, etag: "2", payload: part(0)},
			{num: 1, etag: "3", payload: "z", expect: 1},
			{num: 0, more: true, etag: "3", payload: part(0)},
			{num: 1, etag: "4", payload: "z", expect: 1},
			{num: 0, more: true, etag: "4", payload: part(0)},
			{num: 1, etag: "5", payload: "z", expect: 1},
		}, "", 0, ErrIncomplete},
		{"an error in the middle", []answer{
			{num: 0, more: true, etag: "1", payload: part(0)},
			{code: NotFound, payload: "gone", expect: 1},
		}, "gone", NotFound, nil},
		{"another block than asked for", []answer{
			{num: 0, more: true, etag: "1", payload: part(0)},
			{num: 2, etag: "1", payload: "z", expect: 1},
		}, "", 0, ErrBadResponse},
		{"not the first block first", []answer{{num: 1, payload: "z"}}, "", 0, ErrBadResponse},
		{"short block", []answer{{num: 0, more: true, payload: "short"}}, "", 0, ErrBadResponse},
		{"empty block", []answer{{num: 0, more: true, payload: ""}}, "", 0, ErrBadResponse},
		{"too large", []answer{
			{num: 0, more: true, payload: string(pattern(64)), szx: 2},
			{num: 1, more: true, payload: string(pattern(64)), szx: 2, expect: 1},
		}, "", 0, ErrTooLarge},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, false, SessionConfig{Limits: Limits{MaxResponseBody: 100}})
				type result struct {
					m   *Message
					err error
				}
				done := make(chan result, 1)
				go func() {
					m, err := r.Do(t.Context(), get("a"))
					done <- result{m, err}
				}()
				for i, a := range tc.answers {
					synctest.Wait()
					p, m := r.decoded(r.one())
					asked, _, _ := blockOf(m.Options, Block2)
					if asked.num != a.expect || !slices.Equal(m.Options.Path(), []string{"a"}) {
						t.Fatalf("step %d: asked for %+v", i, asked)
					}
					var options []Option
					if a.etag != "" {
						options = append(options, opt(ETag, a.etag))
					}
					if a.code == 0 {
						a.code = Content
						options = append(options, num(Block2, block{a.num, a.more, a.szx}.value()))
					}
					r.Input(udp(ack, a.code, p.mid, string(p.token), a.payload, options...))
				}
				got := <-done
				if !errors.Is(got.err, tc.err) {
					t.Fatal(got.err)
				}
				if tc.err == nil && (got.m.Code != tc.code || string(got.m.Payload) != tc.body) {
					t.Fatalf("%s %q", got.m.Code, got.m.Payload)
				}
				r.want()
				if len(r.calls) != 0 {
					t.Fatal("a request is left")
				}
			})
		})
	}
}

func TestBlockValue(t *testing.T) {
	for _, b := range []block{{0, false, 0}, {0, true, 6}, {5, false, 2}, {1<<20 - 1, true, 7}} {
		var o Options
		o.SetUint(Block1, b.value())
		got, has, err := blockOf(o, Block1)
		if got != b || !has || err != nil {
			t.Errorf("%+v became %+v %v %v", b, got, has, err)
		}
	}
	if _, has, _ := blockOf(nil, Block1); has {
		t.Error("a block out of nothing")
	}
	if _, _, err := blockOf(Options{{Block1, []byte{255, 255, 255, 255}}}, Block1); err == nil {
		t.Error("a block number of 28 bits")
	}
}

// RFC 7959, Section 2.5 and RFC 9175, Section 3.3.
func TestCacheKey(t *testing.T) {
	base := put([]byte("x"), "a", "b")
	for name, tc := range map[string]struct {
		change    func(m *Message)
		same      bool
		sameReply bool
	}{
		"nothing":      {func(*Message) {}, true, true},
		"payload":      {func(m *Message) { m.Payload = nil }, true, true},
		"Block1":       {func(m *Message) { m.Options.SetUint(Block1, 8) }, true, true},
		"Block2":       {func(m *Message) { m.Options.SetUint(Block2, 8) }, true, true},
		"Size1":        {func(m *Message) { m.Options.SetUint(Size1, 8) }, true, true},
		"Size2":        {func(m *Message) { m.Options.SetUint(Size2, 8) }, true, true},
		"Observe":      {func(m *Message) { m.Options.SetUint(Observe, 0) }, true, true},
		"Request-Tag":  {func(m *Message) { m.Options.SetUint(RequestTag, 8) }, false, true},
		"Hop-Limit":    {func(m *Message) { m.Options.SetUint(HopLimit, 8) }, false, false},
		"path":         {func(m *Message) { m.Options.SetPath("ab") }, false, false},
		"path joined":  {func(m *Message) { m.Options.SetPath("a/b") }, false, false},
		"query":        {func(m *Message) { m.Options.AddString(UriQuery, "c") }, false, false},
		"method":       {func(m *Message) { m.Code = GET }, false, false},
		"If-Match":     {func(m *Message) { m.Options.Add(IfMatch, nil) }, false, false},
		"elective raw": {func(m *Message) { m.Options.Add(2050, []byte{1}) }, false, false},
	} {
		other := base.with()
		tc.change(other)
		if got := cacheKey(other) == cacheKey(base); got != tc.same {
			t.Errorf("%s: %v", name, got)
		}
		if got := responseKey(other) == responseKey(base); got != tc.sameReply {
			t.Errorf("%s, for a response: %v", name, got)
		}
	}
}

// What is thought to fit does fit.
func TestSizeOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, reliable := range []bool{false, true} {
			r := newRig(t, reliable, SessionConfig{})
			for _, n := range []int{0, 1, 12, 13, 268, 269, 1000, 70000} {
				m := put(pattern(n), "a", "", string(pattern(200)))
				m.Options.Add(2050, pattern(min(n, 300)))
				r.mu.Lock()
				b, err := r.encode(packet{code: PUT, token: make([]byte, 8), options: m.Options, payload: m.Payload})
				r.mu.Unlock()
				if err != nil || len(b) > sizeOf(m) || len(b) < sizeOf(m)-9 {
					t.Fatalf("%d bytes estimated, %d written, %v", sizeOf(m), len(b), err)
				}
			}
		}
	})
}
