package ctl

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

// given reads a command line of mitigate as cobra does.
func given(t *testing.T, args ...string) wanted {
	t.Helper()
	var w wanted
	c := &cobra.Command{Use: "mitigate", RunE: func(*cobra.Command, []string) error { return nil }}
	w.flags(c)
	c.SetArgs(args)
	c.SetErr(io.Discard)
	if err := c.Execute(); err != nil {
		t.Fatalf("%q: %v", args, err)
	}
	return w
}

// TestEveryPartIsUsed: what a script's lists and lines name is asked for to the last.
func TestEveryPartIsUsed(t *testing.T) {
	lines := "198.51.100.1/32\n198.51.100.2/32"
	w := given(t, "--prefix", lines, "--prefix", "192.0.2.1,192.0.2.2, 192.0.2.3\n", "--port", "80,443\n8000-8080", "--protocol", "tcp\tudp",
		"--fqdn", "a.example b.example,c.example", "--alias", "web\r\nmail", "--uri", "https://a.example/?x=1,2 https://b.example/")
	r, err := w.request()
	if err != nil {
		t.Fatal(err)
	}
	var prefixes, ports []string
	for _, p := range r.Target.Prefixes {
		prefixes = append(prefixes, p.String())
	}
	for _, p := range r.Target.Ports {
		ports = append(ports, portText(p))
	}
	for name, pair := range map[string][2][]string{
		"prefixes": {prefixes, {"198.51.100.1/32", "198.51.100.2/32", "192.0.2.1/32", "192.0.2.2/32", "192.0.2.3/32"}},
		"ports":    {ports, {"80", "443", "8000-8080"}},
		"names":    {r.Target.FQDNs, {"a.example", "b.example", "c.example"}},
		"aliases":  {r.Target.Aliases, {"web", "mail"}},
		"URIs":     {r.Target.URIs, {"https://a.example/?x=1,2", "https://b.example/"}},
	} {
		if diff := cmp.Diff(pair[1], pair[0]); diff != "" {
			t.Errorf("%s, -want +got:\n%s", name, diff)
		}
	}
	if diff := cmp.Diff([]uint8{6, 17}, r.Target.Protocols); diff != "" {
		t.Errorf("protocols, -want +got:\n%s", diff)
	}
}

// TestEmptyValues: an empty port is no wish for all ports, but a variable that was not set. Nothing is sent.
func TestEmptyValues(t *testing.T) {
	for _, flag := range []string{"prefix", "port", "protocol", "fqdn", "uri", "alias"} {
		for _, value := range []string{"", " ", "\n", "x,,x", "x,", ","} {
			if flag == "uri" && strings.Contains(value, ",") {
				continue
			}
			f := flagValues{name: flag, values: []string{value}, commas: flag == "uri"}
			if parts, err := f.parts(); err == nil {
				t.Errorf("--%s %q: %q", flag, value, parts)
			}
		}
		w := given(t, "--prefix", "192.0.2.1", "--"+flag, "")
		if _, err := w.request(); !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), "--"+flag+` "": a value is empty`) {
			t.Errorf("--%s '': %v", flag, err)
		}
		var notes strings.Builder
		args := []string{"mitigate", "--prefix", "192.0.2.1", "--" + flag, ""}
		if code := Main(t.Context(), args, "", IO{Out: io.Discard, Err: &notes}); code != ExitUsage {
			t.Errorf("--%s '': exit code %d, %s", flag, code, &notes)
		}
	}
}
