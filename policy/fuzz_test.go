package policy

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/dotsgate/dotsgate/dots"
)

// FuzzParseURI reads any text: a URI's normal form has one reading, which is itself.
func FuzzParseURI(f *testing.F) {
	for _, s := range []string{
		"https://www.example.com/path", "http://[2001:db8::1]:80/?q#f", "https://a@b/", "HTTP://A.B:0080/../x", "::", "coap+tcp://x:1",
		"https://hosted.example.net/acme/%2e%2e/x", "x://y/%00", "https://0x7f.1/",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, ok := parseURI(s)
		if !ok {
			return
		}
		if u.host == "" && !u.addr.IsValid() || u.scheme == "" || !strings.HasPrefix(u.path, "/") {
			t.Fatalf("%q is read as %+v", s, u)
		}
		if u.path != "/" && strings.HasSuffix(u.path, "/") || strings.Contains(u.path+"/", "/../") {
			t.Fatalf("%q has the path %q", s, u.path)
		}
		if u.host != "" {
			if again, ok := normalName(u.host); !ok || again != u.host {
				t.Fatalf("%q has the host %q, which is no name", s, u.host)
			}
		}
	})
}

// FuzzNormalName reads any text: a normal form is its own normal form, and has nothing that could forge a log line.
func FuzzNormalName(f *testing.F) {
	for _, s := range []string{"www.example.com", "A.B.", "", ".", "1.2.3.4", "0x1", "a..b", "-a", "ü.example"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name, ok := normalName(s)
		if !ok {
			return
		}
		if again, ok := normalName(name); !ok || again != name {
			t.Fatalf("%q gives %q gives %q", s, name, again)
		}
		if strings.ContainsFunc(name, func(r rune) bool { return r > 'z' || r < '-' || unicode.IsUpper(r) }) {
			t.Fatalf("%q gives %q", s, name)
		}
	})
}

// FuzzRefusal puts any text into a diagnostic: it fits, and is one printable line.
func FuzzRefusal(f *testing.F) {
	for _, s := range []string{"web", "a\nb", "\xff\xfe", strings.Repeat("ü", 60), "\u202e"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, parameter := range []string{"alias-name", "target-prefix"} {
			err := refusal(parameter, s, "not yours")
			if len(err.Text) > dots.MaxDiagnostic || !utf8.ValidString(err.Text) || strings.ContainsFunc(err.Text, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Fatalf("%q gives %q of %d bytes", s, err.Text, len(err.Text))
			}
			if !strings.HasPrefix(err.Text, parameter+" ") || !strings.HasSuffix(err.Text, " not yours") {
				t.Fatalf("%q gives %q", s, err.Text)
			}
		}
	})
}
