package app

import (
	"context"
	"slices"
	"strconv"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/gateway"
	"github.com/dotsgate/dotsgate/internal/admin"
	"github.com/dotsgate/dotsgate/upstream"
)

// Mitigations lists the mitigations for the operator.
func (a *App) Mitigations(ctx context.Context) ([]admin.Mitigation, error) {
	var infos []gateway.MitigationInfo
	if err := a.gateway.Look(ctx, func(c *gateway.Core) { infos = c.Mitigations(a.gateway.Now()) }); err != nil {
		return nil, err
	}
	shown := make([]admin.Mitigation, len(infos))
	for i, m := range infos {
		shown[i] = showMitigation(m)
	}
	return shown, nil
}

func showMitigation(m gateway.MitigationInfo) admin.Mitigation {
	s := admin.Mitigation{
		Client: m.Key.Client.Name, CUID: m.Key.Client.CUID, CDID: m.Key.Client.CDID, MID: m.Key.MID, Domain: m.Domain, Targets: targets(m.Report.Target),
		Status: m.Report.Status.String(), StatusCode: int(m.Report.Status), Lifetime: int64(m.Report.Lifetime),
		Conflict: m.Report.Conflict.Set, BytesDropped: counter(m.Report.Counters.BytesDropped), PktsDropped: counter(m.Report.Counters.PktsDropped),
		Legs: make([]admin.Leg, len(m.Legs)), Recursed: m.Recursed, To: m.To,
	}
	s.Start = int64(m.Report.Start.Value) // seconds since the epoch
	for i, l := range m.Legs {
		s.Legs[i] = admin.Leg{Uplink: l.Key.Uplink, CUID: l.Key.CUID, MID: l.Key.MID, State: l.State, Status: l.Status.String(), Heard: l.Heard, SharedBy: len(l.Members)}
	}
	return s
}

// counter is a counter for JSON; nil: the uplink told none.
func counter(c dots.Maybe[uint64]) *uint64 {
	if !c.Set {
		return nil
	}
	return &c.Value
}

// targets lists what a mitigation protects, in words.
func targets(t dots.Target) []string {
	var words []string
	for _, p := range t.Prefixes {
		words = append(words, p.String())
	}
	words = append(words, t.FQDNs...)
	words = append(words, t.URIs...)
	for _, alias := range t.Aliases {
		words = append(words, "alias:"+alias)
	}
	for _, p := range t.Ports {
		words = append(words, "port:"+portWord(p))
	}
	for _, p := range t.Protocols {
		words = append(words, "protocol:"+strconv.Itoa(int(p)))
	}
	return words
}

// portWord is a port, or a range such as 8000-8080.
func portWord(p dots.PortRange) string {
	if p.Upper == p.Lower {
		return strconv.Itoa(int(p.Lower))
	}
	return strconv.Itoa(int(p.Lower)) + "-" + strconv.Itoa(int(p.Upper))
}

// Sessions lists the clients' sessions for the operator.
func (a *App) Sessions(context.Context) ([]admin.Session, error) {
	infos := a.downstream.Sessions()
	shown := make([]admin.Session, len(infos))
	for i, s := range infos {
		shown[i] = admin.Session{
			ID: s.ID, Client: s.Client, Peer: s.Peer, Transport: transport(s.Reliable).String(), Profile: s.Profile,
			Since: s.Since, LastHeard: s.LastHeard,
		}
	}
	return shown, nil
}

// Uplinks lists the upstream servers for the operator.
func (a *App) Uplinks(ctx context.Context) ([]admin.Uplink, error) {
	var drained []string
	if err := a.gateway.Look(ctx, func(c *gateway.Core) { drained = c.Drained() }); err != nil {
		return nil, err
	}
	leaving := a.now.Load().cfg.Leaving()
	infos := a.upstream.Links()
	shown := make([]admin.Uplink, len(infos))
	for i, l := range infos {
		u := admin.Uplink{
			Name: l.Name, Up: l.Up, Profile: l.Profile, Remote: l.Remote, Redirected: l.Redirected, RedirectedUntil: l.RedirectedUntil, Since: l.Since, Dialling: l.Dialling, LastHeard: l.LastHeard,
			RTT: l.RTT.Value.Seconds(), Suspect: l.Suspect, SID: l.SID, Heartbeat: int(l.Heartbeat.Seconds()), Failures: l.Failures, LastError: l.LastError, InFlight: l.InFlight, Local: l.Local, Drained: slices.Contains(drained, l.Name),
			Leaving: slices.Contains(leaving, l.Name), Legs: map[string]int{
				"wanted": l.Legs[upstream.LegWanted], "placed": l.Legs[upstream.LegPlaced],
				"refused": l.Legs[upstream.LegRefused], "withdrawing": l.Legs[upstream.LegWithdrawing],
			},
		}
		if l.Remote != "" {
			u.Transport = transport(l.Reliable).String()
		}
		shown[i] = u
	}
	return shown, nil
}
