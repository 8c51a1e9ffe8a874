package front

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"sync"
	"time"

	"github.com/pion/dtls/v3"

	"github.com/dotsgate/dotsgate/internal/udp"
)

const (
	// selfTestNumber is the record number of the self-test's second hello, and so of the ServerHello. The library alone would
	// begin with 1.
	selfTestNumber = 5
	// selfTestPatience is far more than it takes: about a millisecond.
	selfTestPatience = 10 * time.Second

	typeServerHello = 2
)

// SelfTest hands a handshake over to the library that this program is linked with, in memory, with the options of a real one,
// and wants the ServerHello. It shows what no look at the library's fields can: that the cookie which is replaced is the one
// that counts.
//
// It fails too when no client at all could shake hands with these options.
func SelfTest(options []dtls.ServerOption) error {
	if err := checkShape(reflect.TypeFor[dtls.Conn]()); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), selfTestPatience)
	defer cancel()
	stage := &stage{heard: make(chan []byte, maxQueued)}
	f := newFront(Config{Network: stage, RecordPath: Pion})
	peer := udp.Path{Peer: netip.AddrPortFrom(netip.IPv4Unspecified(), 1)}
	f.greet(stage, provenHello(f, peer.Peer), peer)
	c, err := f.Accept()
	if err != nil {
		return fmt.Errorf("accepting: %w", err)
	}
	ended := make(chan error, 1)
	var shaking sync.WaitGroup
	shaking.Go(func() {
		_, err := c.Handshake(ctx, options)
		ended <- err
	})
	err = stage.wantServerHello(ended)
	cancel()
	shaking.Wait()
	return err
}

// stage is the network of a self-test, whose only peer hears everything.
type stage struct{ heard chan []byte }

func (s *stage) Run(func(Sender, []byte, udp.Path)) {}
func (s *stage) Stop()                              {}
func (s *stage) Sender(udp.Path) Sender             { return s }
func (s *stage) Addr() net.Addr                     { return new(net.UDPAddr) }
func (s *stage) Close() error                       { return nil }

func (s *stage) Send(b []byte, _ udp.Path) {
	select {
	case s.heard <- append([]byte(nil), b...):
	default:
	}
}

// wantServerHello judges the first datagram, and waits for the handshake if there is none.
func (s *stage) wantServerHello(ended <-chan error) error {
	var b []byte
	select {
	case b = <-s.heard:
	case err := <-ended:
		select {
		case b = <-s.heard:
		default:
			return fmt.Errorf("%w: it gives up: %w", errHandOver, err)
		}
	}
	switch {
	case nextRecord(b) >= recordHeader+2 && b[0] == recordTypeAlert:
		return fmt.Errorf("%w: it answers with alert %d", errHandOver, b[recordHeader+1])
	case nextRecord(b) < recordHeader+handshakeHeader || b[0] != recordTypeHello || b[recordHeader] != typeServerHello:
		return fmt.Errorf("%w: it does not answer with a ServerHello", errHandOver)
	case recordNumber(b) != selfTestNumber || binary.BigEndian.Uint16(b[messageNumberAt:]) != 1:
		return fmt.Errorf("%w: it numbers its messages otherwise", errHandOver)
	}
	return nil
}

// provenHello is a ClientHello with a valid cookie, that offers what the library knows.
func provenHello(f *Front, from netip.AddrPort) []byte {
	var random [randomSize]byte
	_, _ = rand.Read(random[:]) // it cannot fail: it ends the program when the system has no randomness
	first := clientHello(selfTestNumber, 1, random, nil)
	h, _ := parseHello(first)
	cookie := f.cookies.issue(&h, from)
	return clientHello(selfTestNumber, 1, random, cookie[:])
}

// clientHello is a datagram with a ClientHello.
func clientHello(number uint64, message uint16, random [randomSize]byte, cookie []byte) []byte {
	body := append([]byte{0xfe, 0xfd}, random[:]...)
	body = append(body, 0) // no session
	body = appendVector(body, 1, cookie)
	var suites []byte
	for _, id := range knownSuites() {
		suites = binary.BigEndian.AppendUint16(suites, uint16(id))
	}
	body = appendVector(body, 2, suites)
	body = appendVector(body, 1, []byte{0}) // no compression
	body = appendVector(body, 2, helloExtensions())

	out := []byte{recordTypeHello, 0xfe, 0xff}
	out = binary.BigEndian.AppendUint64(out, number)
	out = binary.BigEndian.AppendUint16(out, uint16(handshakeHeader+len(body)))
	out = append(out, typeClientHello, 0, 0, 0)
	putUint24(out[len(out)-3:], len(body))
	out = binary.BigEndian.AppendUint16(out, message)
	out = append(out, 0, 0, 0, 0, 0, 0)
	putUint24(out[len(out)-3:], len(body))
	return append(out, body...)
}

func knownSuites() []dtls.CipherSuiteID {
	return []dtls.CipherSuiteID{
		dtls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, dtls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		dtls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, dtls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		dtls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, dtls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		dtls.TLS_ECDHE_ECDSA_WITH_AES_128_CCM, dtls.TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8,
		dtls.TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256, dtls.TLS_PSK_WITH_AES_128_GCM_SHA256,
		dtls.TLS_PSK_WITH_CHACHA20_POLY1305_SHA256, dtls.TLS_PSK_WITH_AES_128_CCM, dtls.TLS_PSK_WITH_AES_128_CCM_8,
	}
}

// helloExtensions are those that any of our handshakes may need.
func helloExtensions() []byte {
	extension := func(dst []byte, kind uint16, data ...byte) []byte {
		return appendVector(binary.BigEndian.AppendUint16(dst, kind), 2, data)
	}
	b := extension(nil, 10, 0, 6, 0, 29, 0, 23, 0, 24) // supported_groups: X25519, P-256, P-384
	b = extension(b, 11, 1, 0)                         // ec_point_formats: uncompressed
	// signature_algorithms: ECDSA, RSA-PSS and RSA with SHA-256, -384 and -512, Ed25519
	b = extension(b, 13, 0, 20, 4, 3, 5, 3, 6, 3, 8, 4, 8, 5, 8, 6, 4, 1, 5, 1, 6, 1, 8, 7)
	b = extension(b, 23)           // extended_master_secret
	return extension(b, 0xff01, 0) // renegotiation_info
}

// appendVector appends data behind its length, which has so many bytes (1 or 2).
func appendVector(dst []byte, lengthSize int, data []byte) []byte {
	if lengthSize == 2 {
		dst = append(dst, byte(len(data)>>8))
	}
	dst = append(dst, byte(len(data)))
	return append(dst, data...)
}
