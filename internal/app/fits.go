package app

import (
	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/carry"
	"github.com/dotsgate/dotsgate/internal/config"
	"github.com/dotsgate/dotsgate/wire"
)

// fits reports whether a leg's request goes to an uplink as one datagram. Over TCP and to a local mitigator everything does.
//
// RFC 9132, Section 4.4.1: a request is to fit one datagram, which is what arrives under attack.
func (a *App) fits(uplink string, l dots.Leg) bool {
	for _, u := range a.now.Load().cfg.Uplinks {
		if u.Name == uplink {
			return u.Transport == config.TransportTLS || inOneDatagram(profile(u.Profile), l)
		}
	}
	return true
}

// inOneDatagram measures a leg's request as it is sent over UDP. What a dialect cannot say is refused when it is to be sent.
func inOneDatagram(p wire.Profile, l dots.Leg) bool {
	r := wire.Request{
		Op: wire.PutMitigation, CUID: l.Key.CUID, CDID: l.CDID, MID: dots.Some(l.Key.MID), Mitigation: l.Request, Efficacy: l.Efficacy,
		HopLimit: dots.Some(uint32(l.HopLimit)),
	}
	r.Mitigation.MID = l.Key.MID
	out, err := p.EncodeRequest(r)
	return err != nil || carry.OneDatagram(out)
}
