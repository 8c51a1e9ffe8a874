package downstream

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"unicode/utf8"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
)

// Types of a CoAP message. RFC 7252, Section 3.
const (
	con = 0
	non = 1
	ack = 2
	rst = 3
)

// raw is a CoAP message over UDP, byte by byte.
type raw struct {
	typ     byte
	code    coap.Code
	options []coap.Option
	payload []byte
}

// opt is an option of a raw message.
func opt(number uint16, value ...byte) coap.Option { return coap.Option{Number: number, Value: value} }

// path gives the Uri-Path options of a path.
func path(p string) []coap.Option {
	var options []coap.Option
	for _, s := range strings.Split(strings.TrimPrefix(p, "/"), "/") {
		options = append(options, opt(coap.UriPath, []byte(s)...))
	}
	return options
}

// encode writes the message with a message id and a token of two bytes. RFC 7252, Section 3.
func (m raw) encode(mid uint16) []byte {
	b := []byte{1<<6 | m.typ<<4 | 2, byte(m.code)}
	b = binary.BigEndian.AppendUint16(b, mid)
	b = binary.BigEndian.AppendUint16(b, mid) // the token
	options := slices.Clone(m.options)
	slices.SortStableFunc(options, func(a, b coap.Option) int { return int(a.Number) - int(b.Number) })
	last := 0
	for _, o := range options {
		delta, deltaMore := nibble(int(o.Number) - last)
		length, lengthMore := nibble(len(o.Value))
		b = append(b, delta<<4|length)
		b = append(append(append(b, deltaMore...), lengthMore...), o.Value...)
		last = int(o.Number)
	}
	if len(m.payload) > 0 {
		b = append(append(b, 0xff), m.payload...)
	}
	return b
}

// nibble gives the short and the extended form of an option's delta or length.
func nibble(v int) (byte, []byte) {
	switch {
	case v < 13:
		return byte(v), nil
	case v < 269:
		return 13, []byte{byte(v - 13)}
	}
	return 14, binary.BigEndian.AppendUint16(nil, uint16(v-269))
}

// rawPeer sends bytes to a session of the Server and reads what comes back.
type rawPeer struct {
	t    *testing.T
	sess *coap.Session
	link *memoryLink
	mid  uint16

	counters *coap.Counters
}

// raw joins a client that is nothing but bytes.
func (r *rig) raw(name string, tcp bool) *rawPeer {
	r.t.Helper()
	link, counters := newMemoryLink(tcp), new(coap.Counters)
	sess, err := coap.NewSession(coap.SessionConfig{
		Link: link, Timers: r.timers, Handler: r.srv, Counters: counters,
		Peer: coap.Identity{SPKI: []byte("key of " + name), Names: []string{name}},
	})
	if err != nil {
		r.t.Fatal(err)
	}
	if err := r.srv.Attach(sess, Listener{}); err != nil {
		r.t.Fatal(err)
	}
	sess.Start()
	r.t.Cleanup(func() { _ = sess.Close() })
	return &rawPeer{t: r.t, sess: sess, link: link, mid: 100, counters: counters}
}

// send gives the session a datagram and returns what it wrote in answer, at once or after its empty ACK is due.
func (p *rawPeer) send(b []byte) []string {
	p.sess.Input(b)
	synctest.Wait()
	var answers []string
	for len(p.link.out) > 0 {
		answers = append(answers, p.describe(<-p.link.out))
	}
	return answers
}

// describe states a datagram of the Server: "RST", "ACK", or its code, for an error with the diagnostic. What every
// diagnostic must hold to is checked on the way.
func (p *rawPeer) describe(b []byte) string {
	p.t.Helper()
	if len(b) < 4 {
		return fmt.Sprintf("short %x", b)
	}
	typ, code := b[0]>>4&3, coap.Code(b[1])
	switch {
	case typ == rst:
		return "RST"
	case code == coap.Empty && typ == ack:
		return "ACK"
	case code.Class() < 4:
		return code.String()
	}
	text := diagnosticOf(b)
	// RFC 9132, Section 4: an error carries a diagnostic payload.
	if text == "" || len(text) > dots.MaxDiagnostic || !utf8.ValidString(text) {
		p.t.Errorf("%v with the diagnostic %q of %d bytes", code, text, len(text))
	}
	return code.String() + " " + text
}

// diagnosticOf returns the payload of a datagram: what follows its options.
func diagnosticOf(b []byte) string {
	rest := b[4+int(b[0]&0x0f):]
	for len(rest) > 0 && rest[0] != 0xff {
		delta, length := int(rest[0]>>4), int(rest[0]&0x0f)
		rest = rest[1:]
		for _, n := range []*int{&delta, &length} {
			switch *n {
			case 13:
				*n, rest = int(rest[0])+13, rest[1:]
			case 14:
				*n, rest = int(binary.BigEndian.Uint16(rest))+269, rest[2:]
			}
		}
		rest = rest[length:]
	}
	return string(rest[min(1, len(rest)):])
}

// message sends a raw message under a fresh message id.
func (p *rawPeer) message(m raw) []string {
	p.mid++
	return p.send(m.encode(p.mid))
}

// alive checks that the session still answers.
func (p *rawPeer) alive() {
	p.t.Helper()
	select {
	case <-p.sess.Done():
		p.t.Fatalf("the session ended: %v", p.sess.Err())
	default:
	}
	if n := p.counters.Panics.Load(); n != 0 {
		p.t.Errorf("%d panics", n)
	}
	good := raw{typ: con, code: coap.PUT, options: append(path(pathHB), opt(coap.ContentFormat, 1, 15)), payload: unhex(bodyHBTrue)}
	if got := p.message(good); !slices.Equal(got, []string{"2.04"}) {
		p.t.Errorf("a heartbeat afterwards: %q; want 2.04", got)
	}
}
