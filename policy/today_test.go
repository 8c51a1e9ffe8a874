package policy

import (
	"testing"

	"github.com/dotsgate/dotsgate/dots"
)

// TestToday gives a stored grant the domain and the uplink that its client has now.
//
// RFC 8811, Section 3.1: mitigations belong to the client, whatever way they take.
func TestToday(t *testing.T) {
	p := mustNew(t, house())
	for client, known := range map[string]bool{"one": true, "nobody": false} {
		g := p.Today(Grant{Domain: "of before", Uplink: "of before", Client: dots.Client{Name: client}})
		want := Grant{Domain: "of before", Uplink: "of before"}
		if known {
			want.Domain, want.Uplink = p.Domain(client), p.clients[client].domain.route.preferred()
		}
		if g.Domain != want.Domain || g.Uplink != want.Uplink || (len(p.Places(allUp{}, Course{Grant: g})) == 1) != known {
			t.Errorf("%s: domain %q, uplink %q, want %q and %q", client, g.Domain, g.Uplink, want.Domain, want.Uplink)
		}
	}
}
