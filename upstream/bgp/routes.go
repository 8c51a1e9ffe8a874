package bgp

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/dotsgate/dotsgate/dots"
)

// fullMaxAge is when a leg may be asked for again that found no room.
const fullMaxAge = time.Minute

// maker makes the routes of a leg. It is a function of the configuration.
type maker struct {
	mode         string
	attrs        communities
	extended     [][8]byte
	next4, next6 netip.Addr
	min4, min6   int
	maxPerLeg    int
}

// newMaker reads what the configuration says of routes.
func newMaker(c Config) (maker, error) {
	m := maker{mode: c.Mode, min4: c.MinLength4, min6: c.MinLength6, maxPerLeg: c.MaxPerLeg}
	var err error
	if m.attrs, err = parseCommunities(c.Communities); err != nil {
		return m, fmt.Errorf("communities: %w", err)
	}
	if m.mode == ModeBlackhole {
		m.next4, m.next6 = c.NextHop4, c.NextHop6
		return m, nil
	}
	m.next4, m.next6 = netip.IPv4Unspecified(), netip.IPv6Unspecified()
	if c.Action == ActionRedirect {
		to, err := redirect(c.RedirectTo)
		if err != nil {
			return m, fmt.Errorf("redirect_to: %w", err)
		}
		m.extended = [][8]byte{to}
		return m, nil
	}
	m.extended = [][8]byte{trafficRate(c.Rate)}
	return m, nil
}

// routes are those of a target, without their attributes, each once. A refusal says why it has none. Names and URIs beside prefixes
// are passed over: a route knows no names, and what they resolve to is announced where the client named it as a prefix.
func (m maker) routes(t dots.Target) ([]path, *dots.Error) {
	if len(t.Prefixes) == 0 {
		return nil, dots.Refuse(dots.CodeBadRequest, "names cannot be announced, only prefixes")
	}
	var list []path
	seen := map[string]bool{}
	for _, prefix := range t.Prefixes {
		if err := m.allowed(prefix); err != nil {
			return nil, err
		}
		made, err := m.of(prefix.Masked(), t)
		if err != nil {
			return nil, err
		}
		for _, p := range made {
			if !seen[p.id()] {
				seen[p.id()] = true
				list = append(list, p)
			}
		}
		if len(list) > m.maxPerLeg {
			return nil, &dots.Error{Code: dots.CodeUnavailable, Text: "too many prefixes for the mitigator", MaxAge: fullMaxAge}
		}
	}
	return list, nil
}

// allowed keeps short prefixes from being announced: a mistake there costs more than an attack.
func (m maker) allowed(p netip.Prefix) *dots.Error {
	shortest := m.min6
	if p.Addr().Is4() {
		shortest = m.min4
	}
	if !p.IsValid() || p.Addr().Is4In6() || p.Bits() < shortest {
		return dots.Refuse(dots.CodeBadRequest, fmt.Sprintf("%v is shorter than /%d", p, shortest))
	}
	return nil
}

// of makes the routes of one prefix.
func (m maker) of(prefix netip.Prefix, t dots.Target) ([]path, *dots.Error) {
	if m.mode == ModeBlackhole {
		return []path{{family: family{afi(prefix), safiUnicast}, nlri: prefixNLRI(prefix)}}, nil
	}
	encoded, err := rules(prefix, t)
	list := make([]path, len(encoded))
	for i, nlri := range encoded {
		list[i] = path{family: family{afi(prefix), safiFlowspec}, nlri: nlri}
	}
	return list, err
}

// dressed is a route with its attributes, as it is announced.
func (m maker) dressed(p path, marker large) path {
	hop := m.next4
	if p.family.afi == afiIPv6 {
		hop = m.next6
	}
	c := m.attrs
	c.large = append(append([]large(nil), c.large...), marker)
	p.attrs = append(common(c, m.extended), p.nextHop(hop))
	return p
}
