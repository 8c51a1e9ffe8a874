//go:build interop

package interop

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

// wrong is a message that is wrong and what is answered: "silence", "RST", or a code, with the beginning of the
// diagnostic where it matters.
type wrong struct {
	name string
	want string
	datagram
}

// Every wrong message gets the code that the documents name, or silence where they say so, with a diagnostic of at most 64
// bytes; its session lives on, nothing of it goes upstream, and the gateway does not panic.
func TestInteropTorture(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{})
	p := r.rawPeer()
	groups := map[string][]wrong{
		"header": wrongHeader(), "token and body": wrongFrame(), "options on the wire": wrongOptionBytes(), "options": wrongOptions(),
		"path": wrongPath(), "method": wrongMethod(), "CBOR": wrongCBOR(), "DOTS": wrongDOTS(), "target": wrongTarget(), "session": wrongSession(),
	}
	count := 0
	for group, list := range groups {
		for _, m := range list {
			count++
			t.Run(group+"/"+m.name, func(t *testing.T) {
				p.t = t
				checkAnswer(t, p.send(m.datagram, m.want != "silence"), m.want)
			})
		}
	}
	p.t = t
	if count < 120 {
		t.Errorf("the table has %d messages; want at least 120", count)
	}
	if list, _ := r.journal.mitigations(); len(list) != 0 {
		t.Errorf("upstream saw %+v", list)
	}
	if n := strings.Count(r.gateway.text(), "panic"); n != 0 {
		t.Errorf("%d panics", n)
	}
	if n := strings.Count(r.gateway.text(), "session up"); n != 2 {
		t.Errorf("%d sessions; want one with the uplink and the one of this test", n)
	}
	// The same session still serves what is right.
	good := put(pathMID, goodBody)
	if got := p.send(good, true); len(got) != 1 || got[0].String() != "2.01" {
		t.Errorf("a good PUT afterwards: %v", got)
	}
	r.upstream("the good one", isPut("192.0.2.1/32"))
}

// checkAnswer compares what came back. RFC 9132, Section 4: an error carries a diagnostic payload.
func checkAnswer(t *testing.T, got []answer, want string) {
	t.Helper()
	var words []string
	for _, a := range got {
		words = append(words, a.String())
		if a.code>>5 >= 4 && (len(a.payload) == 0 || len(a.payload) > 64 || !utf8.Valid(a.payload)) {
			t.Errorf("%v: the diagnostic %q has %d bytes; want 1 to 64 of UTF-8", a, a.payload, len(a.payload))
		}
	}
	if len(words) == 0 {
		words = []string{"silence"}
	}
	if len(words) > 1 || !strings.HasPrefix(words[0], want) {
		t.Errorf("answered %q; want %s", words, want)
	}
}

// Paths of resources.
const (
	pathMitigate = ".well-known/dots/mitigate"
	pathAll      = pathMitigate + "/cuid=" + cuid
	pathMID      = pathAll + "/mid=1"
	pathConfig   = ".well-known/dots/config"
	pathHB       = ".well-known/dots/hb"
)

// Bodies in hex. A target with a lifetime is right, alone in its scope.
var (
	goodTarget  = "0681" + textHex("192.0.2.1/32")
	goodBody    = scopeHex(1, "a2"+goodTarget+goodLifetime)
	goodHB      = "a11831a11833f5"
	contentDOTS = opt(optContentFormat, 1, 15) // 271
)

const goodLifetime = "0e190e10"

// scopeHex wraps the entries of a scope, with their number, into the body of a request.
func scopeHex(entries int, body string) string {
	return fmt.Sprintf("a101a102%02x%s", 0x80+entries, body)
}

// textHex is a CBOR text string of at most 23 bytes.
func textHex(s string) string { return fmt.Sprintf("%02x%x", 0x60+len(s), s) }

// put is a PUT of a body in hex.
func put(path, body string, more ...option) datagram {
	return datagram{typ: con, code: codePUT, path: path, options: append([]option{contentDOTS}, more...), payload: unhex(body)}
}

// plain is a request without a body.
func plain(code byte, path string, more ...option) datagram {
	return datagram{typ: con, code: code, path: path, options: more}
}

// asNON makes it non-confirmable.
func (d datagram) asNON() datagram {
	d.typ = non
	return d
}

func raw(bytes string) datagram { return datagram{hex: bytes} }

// unhex reads hex of the table.
func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic("a body of the table is no hex: " + s)
	}
	return b
}
