//go:build interop

package interop

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pion/dtls/v3"
)

// Types of a CoAP message and codes, written down again so that a wrong one of ours is seen. RFC 7252, Section 3 and Section 12.1.
const (
	con = 0
	non = 1
	ack = 2
	rst = 3

	codeGET    = 0x01
	codePOST   = 0x02
	codePUT    = 0x03
	codeDELETE = 0x04
)

// Options. RFC 7252, Section 12.2.
const (
	optIfMatch       = 1
	optUriHost       = 3
	optIfNoneMatch   = 5
	optObserve       = 6
	optUriPort       = 7
	optUriPath       = 11
	optContentFormat = 12
	optUriQuery      = 15
	optHopLimit      = 16
	optAccept        = 17
	optQBlock1       = 19
	optBlock2        = 23
	optBlock1        = 27
	optQBlock2       = 31
	optProxyURI      = 35
	optProxyScheme   = 39
)

// option is one option with its raw value.
type option struct {
	number uint16
	value  []byte
}

func opt(number uint16, value ...byte) option { return option{number, value} }

// datagram is a message that may be wrong: whole bytes in hex, in which MMMM stands for the message id, or parts.
type datagram struct {
	hex     string
	typ     byte
	code    byte
	path    string
	options []option // besides those of the path; in any order
	payload []byte
}

// bytes writes the datagram with a message id and a token of two bytes.
func (d datagram) bytes(t *testing.T, mid uint16) []byte {
	t.Helper()
	if d.hex != "" {
		raw := strings.ReplaceAll(strings.ReplaceAll(d.hex, " ", ""), "MMMM", fmt.Sprintf("%04x", mid))
		b, err := hex.DecodeString(raw)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	b := []byte{1<<6 | d.typ<<4 | 2, d.code}
	b = binary.BigEndian.AppendUint16(b, mid)
	b = binary.BigEndian.AppendUint16(b, mid) // the token
	b = appendOptions(b, append(segments(d.path), d.options...))
	if len(d.payload) > 0 {
		b = append(append(b, 0xff), d.payload...)
	}
	return b
}

// segments gives the Uri-Path options of a path.
func segments(path string) []option {
	var list []option
	for s := range strings.SplitSeq(path, "/") {
		if path != "" {
			list = append(list, opt(optUriPath, []byte(s)...))
		}
	}
	return list
}

// appendOptions writes options in the order of their numbers. RFC 7252, Section 3.1.
func appendOptions(b []byte, list []option) []byte {
	last := 0
	for number := range 1 << 16 {
		for _, o := range list {
			if int(o.number) != number {
				continue
			}
			delta, deltaMore := nibble(number - last)
			length, lengthMore := nibble(len(o.value))
			b = append(append(append(b, delta<<4|length), deltaMore...), lengthMore...)
			b = append(b, o.value...)
			last = number
		}
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

// answer is a datagram of the gateway's.
type answer struct {
	typ     byte
	code    byte
	mid     uint16
	token   string
	payload []byte
}

// readAnswer reads a datagram that the gateway has sent, which must be well-formed.
func readAnswer(b []byte) (a answer, err error) {
	if len(b) < 4 || b[0]>>6 != 1 || len(b) < 4+int(b[0]&15) {
		return a, fmt.Errorf("not a message: %x", b)
	}
	tokenEnd := 4 + int(b[0]&15)
	a = answer{typ: b[0] >> 4 & 3, code: b[1], mid: binary.BigEndian.Uint16(b[2:]), token: string(b[4:tokenEnd])}
	rest := b[tokenEnd:]
	for len(rest) > 0 && rest[0] != 0xff {
		length := int(rest[0] & 15)
		skip := 1
		for _, v := range []int{int(rest[0] >> 4), length} {
			skip += max(v-12, 0)
		}
		if length >= 13 || len(rest) < skip+length {
			return a, fmt.Errorf("an option cut off, or too long for an answer of ours: %x", b)
		}
		rest = rest[skip+length:]
	}
	if len(rest) > 0 {
		a.payload = rest[1:]
	}
	return a, nil
}

// String is "RST", "ACK" for an empty one, or the code, with the diagnostic of an error.
func (a answer) String() string {
	switch {
	case a.typ == rst:
		return "RST"
	case a.code == 0:
		return "ACK"
	}
	s := fmt.Sprintf("%d.%02d", a.code>>5, a.code&31)
	if a.code>>5 >= 4 {
		s += " " + string(a.payload)
	}
	return s
}

// rawPeer is a DTLS session whose datagrams are anything.
type rawPeer struct {
	t    *testing.T
	conn *dtls.Conn
	mid  uint16
}

// authority is who signs everybody's certificates.
func (r *rig) authority() *x509.CertPool {
	r.t.Helper()
	ca, err := os.ReadFile(r.file("ca.pem"))
	if err != nil {
		r.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	return roots
}

// rawPeer makes a session with the gateway as client1.
func (r *rig) rawPeer() *rawPeer {
	r.t.Helper()
	cert, err := tls.LoadX509KeyPair(r.file("client1.pem"), r.file("client1.key"))
	if err != nil {
		r.t.Fatal(err)
	}
	socket, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = socket.Close() })
	conn, err := dtls.ClientWithOptions(socket, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: r.port},
		dtls.WithCertificates(cert), dtls.WithRootCAs(r.authority()), dtls.WithServerName("gateway.lab.example"),
		dtls.WithExtendedMasterSecret(dtls.RequireExtendedMasterSecret))
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := conn.HandshakeContext(ctx); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = conn.Close() })
	return &rawPeer{t: r.t, conn: conn, mid: 1000}
}

// send sends a datagram, waits for its answer where one is due, and then sends a good request, whose answer shows that the
// session lives and that nothing else has come. It returns what the first one was answered with.
func (p *rawPeer) send(d datagram, due bool) []answer {
	p.t.Helper()
	p.mid += 2
	p.write(d.bytes(p.t, p.mid))
	var list []answer
	for due && len(list) == 0 {
		// An empty ACK says that the answer comes later (RFC 7252, Section 5.2.2).
		if a := p.next(); a.String() != "ACK" {
			list = append(list, a)
		}
	}
	good := datagram{typ: con, code: codeGET, path: pathConfig}
	p.write(good.bytes(p.t, p.mid+1))
	for {
		a := p.next()
		if a.mid != p.mid+1 || a.typ != ack {
			list = append(list, a)
			continue
		}
		if a.String() != "2.05" {
			p.t.Fatalf("a good GET afterwards: %v; want 2.05", a)
		}
		return list
	}
}

// next returns the next answer. Requests of the gateway, which are its heartbeats, are passed over; they give it no more
// time: all of it is one wait.
func (p *rawPeer) next() answer {
	p.t.Helper()
	if err := p.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		p.t.Fatal(err)
	}
	for {
		if a := p.read(); a.code>>5 != 0 || a.code == 0 {
			return a
		}
	}
}

func (p *rawPeer) write(b []byte) {
	p.t.Helper()
	if _, err := p.conn.Write(b); err != nil {
		p.t.Fatal(err)
	}
}

// read returns what comes next, whatever it is, by the deadline that is set.
func (p *rawPeer) read() answer {
	p.t.Helper()
	b := make([]byte, 2048)
	n, err := p.conn.Read(b)
	if err != nil {
		p.t.Fatalf("the session is over, or the gateway does not answer: %v", err)
	}
	a, err := readAnswer(b[:n])
	if err != nil {
		p.t.Fatal(err)
	}
	return a
}
