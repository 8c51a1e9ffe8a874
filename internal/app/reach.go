package app

import (
	"context"
	"net"
	"net/netip"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/internal/config"
	"github.com/dotsgate/dotsgate/internal/resolve"
	"github.com/dotsgate/dotsgate/upstream"
	"github.com/dotsgate/dotsgate/upstream/reach"
)

// newLine makes the ways to an uplink.
func (a *App) newLine(cfg *config.Config, u config.Uplink) (*line, error) {
	cred, err := load("uplink "+u.Name, u.Credentials)
	if err != nil {
		return nil, err
	}
	way, err := a.newWay(cfg, u, cred)
	if err != nil {
		return nil, err
	}
	link := upstream.LinkConfig{
		ProbeUDP: u.ProbeUDP,
		Name:     u.Name, Profile: profile(u.Profile), Session: u.Session, Where: u.Address, Fingerprint: printOf(cfg, u),
		Server: serverName(u), IgnoreRedirects: !u.Redirects,
		DialTo: func(ctx context.Context, to upstream.Destination) (*coap.Session, error) {
			s, err := way.Dial(ctx, a.linkMeter.better(u.Name, to))
			if err == nil {
				a.linkMeter.over(u.Name, s.Reliable())
			}
			return s, err
		},
	}
	return &line{link: link, credentials: cred, way: way}, nil
}

// printOf differs when an uplink is to be reached another way.
func printOf(cfg *config.Config, u config.Uplink) string {
	u.Credentials.PSKs = nil         // a renewed key is no other uplink
	u.Session = dots.SessionConfig{} // it is changed on the session that there is
	return fingerprint([]any{u, lookedUp(cfg.DNS, u)})
}

// serverName is by what name an uplink's server is known.
func serverName(u config.Uplink) string {
	if u.ServerName != "" {
		return u.ServerName
	}
	host, _, _ := net.SplitHostPort(u.Address) // checked by config
	return host
}

// newWay makes what dials an uplink.
func (a *App) newWay(cfg *config.Config, u config.Uplink, cred *coap.Credentials) (*reach.Reach, error) {
	rc := reach.Config{Address: u.Address, TLSAddress: u.TLSAddress, Source: u.Source}
	for _, transport := range []string{config.TransportDTLS, config.TransportTLS} {
		if u.Transport != transport && u.Transport != config.TransportAuto {
			continue
		}
		d, err := a.newDialer(u, cred, network(transport))
		if err != nil {
			return nil, err
		}
		if transport == config.TransportTLS {
			rc.TCP = d
		} else {
			rc.UDP = d
		}
	}
	if dns := lookedUp(cfg.DNS, u); dns != nil {
		r, err := newResolver(*dns)
		if err != nil {
			return nil, err
		}
		rc.Lookup = lookup(r)
	}
	return reach.New(rc)
}

// lookedUp is the DNS that an uplink's name is looked up in; nil: the system's, with all that it knows beside the DNS.
func lookedUp(c config.DNS, u config.Uplink) *config.DNS {
	host, _, _ := net.SplitHostPort(u.Address) // checked by config
	if _, static := c.Static[host]; c.Server == "" && !static {
		return nil
	}
	return &c
}

// lookup asks a resolver of ours.
func lookup(r *resolve.Resolver) func(context.Context, string) ([]netip.Addr, error) {
	return func(ctx context.Context, host string) ([]netip.Addr, error) {
		found, err := r.Lookup(ctx, host)
		return found.Addresses, err
	}
}

// newDialer makes the sessions to an uplink over one transport.
func (a *App) newDialer(u config.Uplink, cred *coap.Credentials, network string) (*coap.Dialer, error) {
	var handler coap.HandlerFunc = func(ex *coap.Exchange) { a.upstream.Handler().ServeCoAP(ex) }
	return coap.NewDialer(coap.DialConfig{
		Network: network, Address: u.Address, ServerName: u.ServerName, Credentials: cred, Source: u.Source, Interface: u.Interface,
		RecordPath: recordPath(u.RecordPath), PathMTU: u.PathMTU, Beside: coap.DefaultBeside(),
		Session: coap.SessionConfig{
			Handler: handler, Counters: &a.up, OnPanic: a.panicked, Limits: upstream.SessionLimits(),
		},
	})
}
