package admin

import (
	"fmt"
	"net/url"
	"slices"
)

// Filter says what of a list is wanted. An empty field wants everything; one that a list does not have is not looked at.
type Filter struct {
	Client string // the client entry
	Uplink string // its name
	Status string // of a mitigation, in words
}

func (f Filter) query() url.Values {
	q := url.Values{}
	for name, value := range map[string]string{"client": f.Client, "uplink": f.Uplink, "status": f.Status} {
		if value != "" {
			q.Set(name, value)
		}
	}
	return q
}

// readFilter refuses what it does not know: an operator who mistypes is not to be shown everything.
func readFilter(q url.Values) (Filter, error) {
	for name := range q {
		if !slices.Contains([]string{"client", "uplink", "status"}, name) {
			return Filter{}, fmt.Errorf("unknown filter %q", name)
		}
	}
	return Filter{Client: q.Get("client"), Uplink: q.Get("uplink"), Status: q.Get("status")}, nil
}

func wanted(want, have string) bool { return want == "" || want == have }

func (f Filter) mitigation(m Mitigation) bool {
	return wanted(f.Client, m.Client) && wanted(f.Status, m.Status) &&
		(f.Uplink == "" || slices.ContainsFunc(m.Legs, func(l Leg) bool { return l.Uplink == f.Uplink }))
}

func (f Filter) session(s Session) bool { return wanted(f.Client, s.Client) }

func (f Filter) uplink(u Uplink) bool { return wanted(f.Uplink, u.Name) }
