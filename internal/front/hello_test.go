package front

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// join puts records into one datagram.
func join(records ...[]byte) []byte { return bytes.Join(records, nil) }

// changed is a copy of b with other bytes at a place.
func changed(b []byte, at int, to ...byte) []byte {
	b = bytes.Clone(b)
	copy(b[at:], to)
	return b
}

func TestParseHello(t *testing.T) {
	cookie := bytes.Repeat([]byte{7}, cookieSize)
	random := [randomSize]byte{1, 2, 3}
	plainHello, withCookie := clientHello(9, 0, random, nil), clientHello(9, 1, random, cookie)
	sessionAt := recordHeader + handshakeHeader + 2 + randomSize
	tests := []struct {
		name string
		in   []byte
		want bool
	}{
		{"first", plainHello, true},
		{"with cookie", withCookie, true},
		{"DTLS 1.2 in the header", changed(plainHello, 1, 0xfe, 0xfd), true},
		{"nothing", nil, false},
		{"one byte", plainHello[:1], false},
		{"another record type", changed(plainHello, 0, 23), false},
		{"TLS in the header", changed(plainHello, 1, 3, 3), false},
		{"another version in the header", changed(plainHello, 2, 0xfc), false},
		{"another epoch", changed(plainHello, 4, 1), false},
		{"another message", changed(plainHello, recordHeader, 2), false},
		{"third message", changed(plainHello, messageNumberAt, 0, 2), false},
		{"another version", changed(plainHello, recordHeader+handshakeHeader, 3, 3), false},
		{"longer record", changed(plainHello, 12, plainHello[12]+1), false},
		{"longer message", changed(plainHello, messageLengthAt+2, plainHello[messageLengthAt+2]+1), false},
		{"part of a message", changed(plainHello, fragmentLengthAt-1, 1), false},
		{"shorter fragment", changed(plainHello, fragmentLengthAt+2, plainHello[fragmentLengthAt+2]-1), false},
		{"long session id", changed(plainHello, sessionAt, 33), false},
		{"long cookie", changed(plainHello, sessionAt+1, 255), false},
		{"no suites", changed(plainHello, sessionAt+2, 0, 0), false},
		{"odd suites", changed(plainHello, sessionAt+3, plainHello[sessionAt+3]+1), false},
		{"two records", join(plainHello, plainHello), false},
		{"something behind it", join(plainHello, []byte{0}), false},
		{"an alert behind it", join(plainHello, plain(21, 2, 40)), false},
		{"only a header", plainHello[:recordHeader], false},
	}
	for _, tt := range tests {
		h, ok := parseHello(tt.in)
		if ok != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, ok, tt.want)
		}
		if ok && (h.number != 9 || h.random != random) {
			t.Errorf("%s: number %d, random %x", tt.name, h.number, h.random)
		}
	}
	for n := range len(withCookie) {
		if _, ok := parseHello(withCookie[:n]); ok {
			t.Errorf("cut to %d bytes it is still a hello", n)
		}
	}
}

// TestFirst: the hello that is shown to the library first is what a client would have sent.
func TestFirst(t *testing.T) {
	random := [randomSize]byte{9}
	h, ok := parseHello(clientHello(7, 1, random, bytes.Repeat([]byte{7}, cookieSize)))
	if !ok {
		t.Fatal("not a hello")
	}
	if got, want := h.first(), clientHello(6, 0, random, nil); !bytes.Equal(got, want) {
		t.Errorf("got\n%x, want\n%x", got, want)
	}
}

// TestHelloVerify: RFC 6347, Section 4.2.1: what asks for the cookie, byte by byte, and in the library's own reading.
func TestHelloVerify(t *testing.T) {
	cookie := [cookieSize]byte{1, 2, 3, 19: 20}
	b := appendHelloVerify(nil, 0x010203040506, &cookie)
	if want := helloVerifySize; len(b) != want || helloVerifySize != 48 {
		t.Errorf("%d bytes, want %d", len(b), want)
	}
	if b[0] != 22 || binary.BigEndian.Uint16(b[1:]) != 0xfeff || recordEpoch(b) != 0 || recordNumber(b) != 0x010203040506 {
		t.Errorf("the record's header is %x", b[:recordHeader])
	}
	if nextRecord(b) != len(b) || b[recordHeader] != 3 || binary.BigEndian.Uint16(b[messageNumberAt:]) != 0 {
		t.Errorf("the message's header is %x", b[recordHeader:])
	}
	if got, ok := helloVerify(b); !ok || !bytes.Equal(got, cookie[:]) {
		t.Errorf("the cookie is %x", got)
	}
	if _, ok := helloVerify(clientHello(0, 0, [randomSize]byte{}, nil)); ok {
		t.Error("a ClientHello is taken for a HelloVerifyRequest")
	}
}

// strangers are datagrams that a stranger may not get an answer to.
func strangers() map[string][]byte {
	hello := clientHello(0, 0, [randomSize]byte{1}, nil)
	return map[string][]byte{
		"nothing":                {},
		"text":                   []byte("GET / HTTP/1.0\r\n\r\n"),
		"close_notify":           plain(21, 1, 0),
		"application data":       protected(23, make([]byte, 64)...),
		"with a connection ID":   withCID(1, "12345678", make([]byte, 64)...),
		"ChangeCipherSpec":       plain(20, 1),
		"Finished":               protected(22, make([]byte, 40)...),
		"ServerHello":            changed(hello, recordHeader, 2),
		"two hellos":             join(hello, hello),
		"half a hello":           hello[:len(hello)/2],
		"first fragment":         changed(hello, fragmentLengthAt, 0, 0, 10),
		"hello of TLS":           changed(hello, 1, 3, 1),
		"hello, protected":       changed(hello, 4, 1),
		"hello of fewer bytes":   smallHello(),
		"third message":          changed(hello, messageNumberAt, 0, 2),
		"HelloVerifyRequest":     appendHelloVerify(nil, 0, new([cookieSize]byte)),
		"alert behind the hello": join(hello, plain(21, 2, 40)),
	}
}

// smallHello is well-formed, but so small that an answer would be more than half of it.
func smallHello() []byte {
	b := clientHello(0, 0, [randomSize]byte{1}, nil)
	const body = 2 + randomSize + 1 + 1 + 4 + 2 // one suite, no extensions
	b = b[:recordHeader+handshakeHeader+body]
	suitesAt := len(b) - 6
	copy(b[suitesAt:], []byte{0, 2, 0xc0, 0x2b, 1, 0})
	b[12], b[messageLengthAt+2], b[fragmentLengthAt+2] = handshakeHeader+body, body, body
	return b
}

// TestSilence: to a stranger everything but a first hello is met with silence, and leaves nothing.
func TestSilence(t *testing.T) {
	if _, ok := parseHello(smallHello()); !ok {
		t.Error("the small hello is not well-formed")
	}
	n := newMemNet()
	f := newFront(Config{Network: n})
	for name, b := range strangers() {
		f.route(n, bytes.Clone(b), udpPath(1))
		if sent := n.sentSince(0); len(sent) > 0 {
			t.Fatalf("%s is answered with %x", name, sent[0])
		}
	}
	if got, want := int(f.counters.Strangers.Load()), len(strangers()); got != want {
		t.Errorf("%d counted, want %d", got, want)
	}
	f.route(n, clientHello(4, 0, [randomSize]byte{1}, nil), udpPath(1))
	if sent := n.sentSince(0); len(sent) != 1 || recordNumber(sent[0]) != 4 {
		t.Errorf("a hello is answered with %x", sent)
	}
	if paths, ids := f.table.counts(); paths+ids > 0 || f.pending.len() > 0 || len(f.proven) > 0 {
		t.Errorf("%d addresses and %d connection IDs are kept", paths, ids)
	}
}

// TestSpoiledHello: a proven hello with one bit changed, or cut short, opens nothing, unless only its extensions changed,
// which RFC 6347, Section 4.2.1, leaves free.
func TestSpoiledHello(t *testing.T) {
	n := newMemNet()
	f := newFront(Config{Network: n, Rate: 1e6, Burst: 1e6, MaxPerPrefix: 1e6})
	from := udpPath(1)
	good := provenHello(f, from.Peer)
	h, _ := parseHello(good)
	for at := range h.coreEnd {
		for bit := range 8 {
			if at == 2 || at >= recordNumberAt+2 && at < recordLengthAt {
				continue // the record's version and number are free: other hellos of the client have others
			}
			f.route(n, changed(good, at, good[at]^1<<bit), from)
			f.route(n, bytes.Clone(good[:at]), from)
			wantOpened(t, f, at, false)
		}
	}
	for at := h.coreEnd; at < len(good); at++ {
		f.route(n, bytes.Clone(good[:at]), from)
		wantOpened(t, f, at, false)
	}
	f.route(n, bytes.Clone(good), udpPath(2)) // another port
	f.route(n, changed(good, recordNumberAt, 0, 0, 0, 0, 0, 0, 0, 0), from)
	f.route(n, changed(good, recordNumberAt, 0, 0, 0x80, 0, 0, 0, 0, 0), from)
	wantOpened(t, f, -1, false)
	f.route(n, bytes.Clone(good), from)
	wantOpened(t, f, -1, true)
}

func wantOpened(t *testing.T, f *Front, at int, want bool) {
	t.Helper()
	if paths, _ := f.table.counts(); (paths == 1) != want || (len(f.proven) == 1) != want {
		t.Fatalf("spoiled at %d: %d associations", at, paths)
	}
}
