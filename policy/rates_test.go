package policy

import (
	"testing"

	"github.com/dotsgate/dotsgate/dots"
)

func TestRates(t *testing.T) {
	c := house()
	c.Domains[0].Limits.RequestsPerMinute = dots.Some(5)
	c.Domains[0].Limits.NewCUIDsPerHour = dots.Some(2)
	p := mustNew(t, c)
	for client, want := range map[string]Rates{
		c.Domains[0].Clients[0].Name: {RequestsPerMinute: 5, NewCUIDsPerHour: 2},
		c.Domains[1].Clients[0].Name: {},
		"nobody":                     {},
	} {
		if got := p.Rates(client); got != want {
			t.Errorf("%s: %+v, want %+v", client, got, want)
		}
	}
}
