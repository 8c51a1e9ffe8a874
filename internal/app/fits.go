package app

import (
	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/carry"
	"github.com/dotsgate/dotsgate/internal/config"
	"github.com/dotsgate/dotsgate/wire"
)

// fits tells of the uplinks of a configuration whether a leg's request goes there as one datagram. Over TCP and to a local mitigator
// everything does.
//
// RFC 9132, Section 4.4.1: a request is to fit one datagram, which is what arrives under attack.
func fits(uplinks []config.Uplink) func(uplink string, l dots.Leg) bool {
	type measure struct {
		profile wire.Profile
		pathMTU int
	}
	measured := map[string]measure{}
	for _, u := range uplinks {
		if u.Transport != config.TransportTLS {
			measured[u.Name] = measure{profile(u.Profile), u.PathMTU}
		}
	}
	return func(uplink string, l dots.Leg) bool {
		m, ok := measured[uplink]
		return !ok || inOneDatagram(m.profile, m.pathMTU, l)
	}
}

// inOneDatagram measures a leg's request as it is sent over UDP. What a dialect cannot say is refused when it is to be sent.
func inOneDatagram(p wire.Profile, pathMTU int, l dots.Leg) bool {
	r := wire.Request{
		Op: wire.PutMitigation, CUID: l.Key.CUID, CDID: l.CDID, MID: dots.Some(l.Key.MID), Mitigation: l.Request, Efficacy: l.Efficacy,
		HopLimit: dots.Some(uint32(l.HopLimit)),
	}
	r.Mitigation.MID = l.Key.MID
	out, err := p.EncodeRequest(r)
	return err != nil || carry.OneDatagram(out, pathMTU)
}
