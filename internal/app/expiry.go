package app

import (
	"time"

	"github.com/dotsgate/dotsgate/internal/coap"
)

// expirySoon is how long before its end a certificate or a revocation list is warned of, at each start and reload.
const expirySoon = 14 * 24 * time.Hour

// tellExpiries logs how long all credentials are good for.
func (a *App) tellExpiries(n *inForce) {
	a.tellExpiry("listeners", n.listeners)
	for _, l := range n.lines {
		if l.credentials != nil {
			a.tellExpiry("uplink "+l.link.Name, l.credentials)
		}
	}
}

// tellExpiry logs how long credentials are good for.
func (a *App) tellExpiry(of string, c *coap.Credentials) {
	for _, x := range []struct {
		what string
		at   time.Time
	}{{"certificate", c.NotAfter()}, {"revocation list", c.NextCRLUpdate()}} {
		switch left := time.Until(x.at); {
		case x.at.IsZero():
		case left < 0:
			a.log.Error("credentials have expired", "of", of, "what", x.what, "at", x.at)
		case left < expirySoon:
			a.log.Warn("credentials expire soon", "of", of, "what", x.what, "at", x.at)
		default:
			a.log.Info("credentials read", "of", of, "what", x.what, "until", x.at)
		}
	}
}
