package front

import (
	"context"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/pion/dtls/v3"

	"github.com/dotsgate/dotsgate/internal/testpki"
)

// cookieType is what a cookie might be that is no plain byte slice.
type cookieType []byte

// TestCheckShape: look-alikes of the library's connection, as another release might have it.
func TestCheckShape(t *testing.T) {
	tests := []struct {
		conn any
		want string // "": it fits
	}{
		{new(dtls.Conn), ""},
		{struct{ state struct{ cookie []byte } }{}, ""},
		{struct{ State struct{ cookie []byte } }{}, "no struct named state"},
		{struct{ state *struct{ cookie []byte } }{}, "no struct named state"},
		{struct{ state int }{}, "no struct named state"},
		{struct{ state struct{ cookieHash []byte } }{}, "no []byte named cookie"},
		{struct {
			state struct{ cookie [cookieSize]byte }
		}{}, "no []byte named cookie"},
		{struct{ state struct{ cookie cookieType } }{}, "no []byte named cookie"},
	}
	for _, tt := range tests {
		err := checkShape(reflect.Indirect(reflect.ValueOf(tt.conn)).Type())
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%T: %v, want %q", tt.conn, err, tt.want)
		}
	}
}

// TestReplaceCookie: only what was seen on the wire is overwritten.
func TestReplaceCookie(t *testing.T) {
	conn, err := dtls.ServerWithOptions(&association{}, &peerAddr{}, dtls.WithPSK(func([]byte) ([]byte, error) { return nil, nil }),
		dtls.WithCipherSuites(dtls.TLS_PSK_WITH_AES_128_GCM_SHA256))
	if err != nil {
		t.Fatal(err)
	}
	// Before its handshake the library has no cookie.
	if err := replaceCookie(conn, nil, make([]byte, cookieSize)); err == nil {
		t.Error("a cookie that is not there is replaced")
	}
	if err := replaceCookie(conn, make([]byte, cookieSize), make([]byte, cookieSize)); err == nil {
		t.Error("a cookie that was not sent is replaced")
	}
	if _, err := liveCookie(nil); err == nil {
		t.Error("a connection that is not there has a cookie")
	}
}

func TestSelfTest(t *testing.T) {
	ca := testpki.New(t, "root")
	psk := dtls.WithPSK(func([]byte) ([]byte, error) { return []byte("secret"), nil })
	tests := []struct {
		name    string
		options []dtls.ServerOption
		want    string
	}{
		{"certificate", []dtls.ServerOption{
			dtls.WithCertificates(ca.Server().TLS()), dtls.WithClientAuth(dtls.RequireAndVerifyClientCert), dtls.WithClientCAs(ca.Pool()),
			dtls.WithExtendedMasterSecret(dtls.RequireExtendedMasterSecret),
		}, ""},
		{"pre-shared key", []dtls.ServerOption{psk, dtls.WithCipherSuites(dtls.TLS_PSK_WITH_AES_128_CCM_8)}, ""},
		{"pre-shared key with key exchange", []dtls.ServerOption{psk, dtls.WithCipherSuites(dtls.TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256)}, ""},
		// A library that does not send a HelloVerifyRequest would look like this.
		{"no cookie exchange", []dtls.ServerOption{
			psk, dtls.WithCipherSuites(dtls.TLS_PSK_WITH_AES_128_CCM_8), dtls.WithInsecureSkipVerifyHello(true),
		}, "numbers its messages otherwise"},
		// And one that refuses the hello, like this.
		{"no suite in common", []dtls.ServerOption{psk, dtls.WithCipherSuites(dtls.TLS_ECDHE_PSK_WITH_AES_128_CBC_SHA256)}, "alert"},
		{"no credentials", nil, "alert"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := SelfTest(tt.options)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}

// TestWrongCookieAtRunTime: a handshake whose hand-over does not go as expected ends, and is counted.
func TestWrongCookieAtRunTime(t *testing.T) {
	n := newMemNet()
	f := newFront(Config{Network: n})
	from := udpPath(1)
	f.route(n, provenHello(f, from.Peer), from)
	c, err := f.Accept()
	if err != nil {
		t.Fatal(err)
	}
	a := c.association.Load()
	conn, err := dtls.ServerWithOptions(a, a.last, dtls.WithPSK(func([]byte) ([]byte, error) { return nil, nil }),
		dtls.WithCipherSuites(dtls.TLS_PSK_WITH_AES_128_GCM_SHA256))
	if err != nil {
		t.Fatal(err)
	}
	a.library.Store(conn)
	if _, err := a.WriteTo(appendHelloVerify(nil, 0, &[cookieSize]byte{1}), a.last); err == nil {
		t.Error("the library's unknown cookie is taken")
	}
	if got := f.counters.HandOver.Load(); got != 1 {
		t.Errorf("%d counted, want 1", got)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := conn.HandshakeContext(ctx); err == nil {
		t.Error("the handshake goes on")
	}
	if len(n.sentSince(0)) > 0 {
		t.Error("something was sent")
	}
}
