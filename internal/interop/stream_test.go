//go:build interop

package interop

import (
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// capabilities is the message with which each side begins. RFC 8323, Section 5.3.
const capabilities = "00e1"

// getConfigTCP is a GET of the session's configuration. RFC 8323, Section 3.2: a length, a token length, then as over UDP.
func getConfigTCP(t *testing.T) []byte {
	t.Helper()
	options := appendOptions(nil, segments(pathConfig))
	if len(options) < 13 || len(options) > 268 {
		t.Fatalf("%d bytes of options", len(options))
	}
	return append([]byte{13<<4 | 1, byte(len(options) - 13), codeGET, 0x77}, options...)
}

// Wrong bytes on a TLS connection end that connection where the stream is lost, with Abort, and no other; what is only a wrong
// message does not end it. RFC 8323, Section 3.3, Section 5.3 and Section 5.6.
func TestInteropTortureStream(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{})
	other := r.rawPeer() // lives through all of it
	tests := []struct {
		name  string
		send  string // hex, after the handshake
		lives bool
	}{
		{"capabilities alone", capabilities, true},
		{"a request before the capabilities", "0001", false},
		{"token length 9", capabilities + "0901" + "010203040506070809", false},
		{"token length 15", capabilities + "0f01" + strings.Repeat("01", 15), false},
		{"a length of 4 GB", capabilities + "f0ffffffff01", false},
		{"a length above our maximum", capabilities + "f000010000" + "01", false},
		{"an option cut off", capabilities + "2001b561", false},
		{"option delta 15", capabilities + "2001f100", false},
		{"an unknown critical option in the capabilities", "30e1" + "910102", false},
		{"HTTP", hex.EncodeToString([]byte("GET / HTTP/1.1\r\n\r\n")), false},
		{"all ones", strings.Repeat("ff", 64), false},
		{"empty messages", capabilities + strings.Repeat("0000", 20), true},
		{"class 1", capabilities + "0021", true},
		{"class 6", capabilities + "00c1", true},
		{"a response to nothing", capabilities + "0245" + "9999", true},
		{"capabilities again and again", strings.Repeat(capabilities, 50), true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b, err := hex.DecodeString(test.send)
			if err != nil {
				t.Fatal(err)
			}
			err = r.talk(t, append(b, getConfigTCP(t)...))
			if lives := err == nil; lives != test.lives {
				t.Errorf("the connection lives: %v (%v); want %v", lives, err, test.lives)
			}
		})
	}
	checkAnswer(t, other.send(raw("4000MMMM"), true), "RST")
	if n := strings.Count(r.gateway.text(), "panic"); n != 0 {
		t.Errorf("%d panics", n)
	}
	if list, _ := r.journal.mitigations(); len(list) != 0 {
		t.Errorf("upstream saw %+v", list)
	}
}

// talk connects, sends the bytes and waits for a 2.05; an error says that the connection ended before.
func (r *rig) talk(t *testing.T, b []byte) error {
	t.Helper()
	cert, err := tls.LoadX509KeyPair(r.file("client1.pem"), r.file("client1.key"))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", r.port), &tls.Config{
		Certificates: []tls.Certificate{cert}, RootCAs: r.authority(), ServerName: "gateway.lab.example", NextProtos: []string{"coap"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(b); err != nil {
		return err
	}
	var got []byte
	for {
		part := make([]byte, 4096)
		n, err := conn.Read(part)
		got = append(got, part[:n]...)
		// The answer with our token: a length of one or two bytes more, 2.05, the token.
		if strings.Contains(string(got), "\x45\x77") {
			return nil
		}
		if err != nil {
			checkEnd(t, err)
			return err
		}
	}
}

// checkEnd checks that a connection was ended, and not left to hang.
func checkEnd(t *testing.T, err error) {
	t.Helper()
	var op *net.OpError
	if !errors.Is(err, io.EOF) && !errors.As(err, &op) || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the connection was not ended: %v", err)
	}
}
