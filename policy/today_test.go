package policy

import (
	"testing"

	"github.com/dotsgate/dotsgate/dots"
)

// TestToday gives a stored grant the domain that its client has now, and with it the way that this one takes.
//
// RFC 8811, Section 3.1: mitigations belong to the client, whatever way they take.
func TestToday(t *testing.T) {
	p := mustNew(t, house())
	for client, known := range map[string]bool{"one": true, "nobody": false} {
		g := p.Today(Grant{Domain: "of before", Client: dots.Client{Name: client}})
		want := "of before"
		if known {
			want = p.Domain(client)
		}
		if n := len(p.Places(allUp{}, Course{Grant: g})); g.Domain != want || (n == 1) != known {
			t.Errorf("%s: domain %q and %d places, want domain %q", client, g.Domain, n, want)
		}
	}
}
