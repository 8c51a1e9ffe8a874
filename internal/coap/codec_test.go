package coap

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/message/codes"
	udpcoder "github.com/plgd-dev/go-coap/v3/udp/coder"
)

// RFC 7252, Section 3.
func TestReadHeader(t *testing.T) {
	for _, tc := range []struct {
		name  string
		in    []byte
		want  packet
		rest  string
		fails bool
	}{
		{name: "CON without token", in: []byte{0x40, 1, 0x12, 0x34}, want: packet{typ: con, code: GET, mid: 0x1234, token: []byte{}}},
		{name: "NON with token", in: []byte{0x52, 69, 0, 1, 'a', 'b', 'c'}, want: packet{typ: non, code: Content, mid: 1, token: []byte("ab")}, rest: "c"},
		{name: "ACK", in: []byte{0x60, 0, 0, 1}, want: packet{typ: ack, mid: 1, token: []byte{}}},
		{name: "RST", in: []byte{0x70, 0, 0xff, 0xff}, want: packet{typ: rst, mid: 0xffff, token: []byte{}}},
		{name: "longest token", in: append([]byte{0x48, 1, 0, 0}, "12345678"...), want: packet{typ: con, code: GET, token: []byte("12345678")}},
		{name: "token too long", in: append([]byte{0x49, 1, 0, 0}, "123456789"...), fails: true},
		{name: "token cut off", in: []byte{0x42, 1, 0, 0, 1}, fails: true},
		{name: "header cut off", in: []byte{0x40, 1, 0}, fails: true},
		{name: "version 2", in: []byte{0x80, 1, 0, 0}, fails: true},
		{name: "nothing", fails: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, rest, err := readHeader(tc.in)
			if tc.fails {
				if !errors.Is(err, errMalformed) {
					t.Fatal(err)
				}
				return
			}
			if err != nil || string(rest) != tc.rest {
				t.Fatal(err, rest)
			}
			if diff := cmp.Diff(tc.want, p, cmp.AllowUnexported(packet{})); diff != "" {
				t.Fatal(diff)
			}
		})
	}
}

// What is written is byte for byte what the hand-made encoder of the tests writes, over both transports.
func TestEncode(t *testing.T) {
	long := strings.Repeat("x", 255)
	for name, tc := range map[string]struct {
		token, payload string
		options        []Option
	}{
		"bare":          {},
		"token":         {token: "12345678"},
		"payload":       {payload: "p"},
		"path":          {options: []Option{opt(UriPath, "a"), opt(UriPath, ""), opt(UriPath, "b")}, payload: "x"},
		"long segments": {options: []Option{opt(UriPath, long), opt(UriQuery, long[:13])}},
		"large deltas":  {options: []Option{opt(IfMatch, ""), opt(RequestTag, "t"), opt(2050, long), opt(65000, "")}, payload: long},
		"large value":   {options: []Option{opt(2050, strings.Repeat("y", 1000))}},
		"large payload": {payload: string(pattern(5000))},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for _, reliable := range []bool{false, true} {
					r := newRig(t, reliable, SessionConfig{})
					want := udp(non, Changed, 77, tc.token, tc.payload, tc.options...)
					if reliable {
						want = tcp(Changed, tc.token, tc.payload, tc.options...)
					}
					r.mu.Lock()
					got, err := r.encode(packet{
						typ: non, code: Changed, mid: 77, token: []byte(tc.token), options: tc.options, payload: []byte(tc.payload),
					})
					got = bytes.Clone(got)
					r.mu.Unlock()
					if err != nil || !bytes.Equal(got, want) {
						t.Fatalf("%v\n got %x\nwant %x", err, got, want)
					}
					p, m := r.decoded(got)
					if string(p.token) != tc.token || string(m.Payload) != tc.payload || !slices.EqualFunc(m.Options, tc.options, sameOption) {
						t.Fatalf("read back: %q %v", p.token, m.Options)
					}
				}
			})
		})
	}
}

func sameOption(a, b Option) bool { return a.Number == b.Number && bytes.Equal(a.Value, b.Value) }

func TestEncodeRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, SessionConfig{})
		r.mu.Lock()
		defer r.mu.Unlock()
		if _, err := r.encode(packet{code: GET, options: Options{{ETag, make([]byte, maxOptionLength+1)}}}); !errors.Is(err, ErrBadMessage) {
			t.Error(err)
		}
		if _, err := r.encode(packet{code: GET, token: make([]byte, 9)}); !errors.Is(err, ErrBadMessage) {
			t.Error(err)
		}
	})
}

// A session that has nothing to do holds no buffer: not for what it sends, and none of the lists of what is under way.
func TestIdleHoldsNoBuffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var open []*Exchange
		r := newRig(t, false, SessionConfig{Handler: HandlerFunc(func(ex *Exchange) { open = append(open, ex) })})
		for i := range uint16(100) {
			r.Input(udp(con, GET, i, "t", "", opt(UriPath, "a"), opt(UriPath, "b"), opt(UriQuery, "c")))
		}
		for i, ex := range open {
			ex.Respond(&Message{Code: Content, Options: ex.Request().Options})
			r.want(udp(ack, Content, uint16(i), "t", "", opt(UriPath, "a"), opt(UriPath, "b"), opt(UriQuery, "c")))
		}
		if r.lent != nil || r.exchanges != nil || len(r.seen.ring) != 128 {
			t.Fatalf("a buffer: %v, room for %d exchanges, and for %d messages", r.lent != nil, cap(r.exchanges), len(r.seen.ring))
		}
		time.Sleep(DefaultParameters().ExchangeLifetime())
		r.Input(udp(con, GET, 100, "t", "", opt(UriPath, "a")))
		if len(r.seen.ring) != fewRemembered {
			t.Fatalf("room for %d messages is kept for one", len(r.seen.ring))
		}
	})
}

func TestCarriesObserve(t *testing.T) {
	for name, tc := range map[string]struct {
		raw  []byte
		want bool
	}{
		"nothing":          {nil, false},
		"only":             {tail("", []Option{num(Observe, 1)}), true},
		"empty":            {tail("", []Option{opt(Observe, "")}), true},
		"behind others":    {tail("x", []Option{opt(ETag, "12345678"), num(Observe, 1), num(ContentFormat, 1)}), true},
		"others":           {tail("x", []Option{opt(ETag, "12345678"), num(ContentFormat, 1)}), false},
		"in the payload":   {[]byte{0xff, 0x60}, false},
		"in another value": {tail("", []Option{opt(ETag, "\x61\x61"), num(MaxAge, 0x61)}), false},
	} {
		if got := carriesObserve(tc.raw); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// What we write is byte for byte what the library writes, for deltas and lengths on both sides of where their form changes.
func TestAppendDatagramAsTheLibrary(t *testing.T) {
	sizes := []int{0, 1, 12, 13, 14, 268, 269, 270, 1000, 65000}
	for _, delta := range sizes {
		for _, length := range sizes {
			for _, payload := range []string{"", "payload"} {
				p := packet{typ: non, code: PUT, mid: 0xabcd, token: []byte("tok"), payload: []byte(payload), options: Options{
					{Number: uint16(delta), Value: make([]byte, length)}, {Number: uint16(delta + 3), Value: []byte("next")},
				}}
				raw := message.Message{Token: p.token, Code: codes.Code(p.code), Payload: p.payload, MessageID: int32(p.mid), Type: p.typ}
				for _, o := range p.options {
					raw.Options = append(raw.Options, message.Option{ID: message.OptionID(o.Number), Value: o.Value})
				}
				want := make([]byte, 140000)
				n, err := udpcoder.DefaultCoder.Encode(raw, want)
				if err != nil {
					t.Fatal(err)
				}
				if got := appendDatagram(nil, p); !bytes.Equal(got, want[:n]) {
					t.Errorf("delta %d, length %d, payload %q: %d bytes differ from the library's %d", delta, length, payload, len(got), n)
				}
			}
		}
	}
}
