package gateway

import (
	"bytes"
	"crypto/sha256"
	"log/slog"
	"maps"
	"slices"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/policy"
)

// Rules are those parts of a CoreConfig that may change while the core lives. Policy is required.
type Rules struct {
	Policy     *policy.Policy
	Identities map[string][sha256.Size]byte         // as in CoreConfig
	Unmirrored map[string]bool                      // as in CoreConfig
	Fits       func(uplink string, l dots.Leg) bool // as in CoreConfig; nil: the one of before
}

// reload swaps the rules, and lets everything that lives follow them before anything else is decided: mitigations that are not allowed any more end,
// the others' legs go where they belong now, and requests that are being decided are decided anew.
func (c *Core) reload(ev Reload) {
	c.policy, c.cfg.Policy = ev.Policy, ev.Policy
	c.cfg.Identities, c.cfg.Unmirrored = ev.Identities, ev.Unmirrored
	if ev.Fits != nil {
		c.cfg.Fits = ev.Fits
	}
	maps.DeleteFunc(c.paces, func(client string, _ *pace) bool { return ev.Policy.Domain(client) == "" })
	c.dropUnknown()
	c.dropLinks()
	c.restateLinks()
	ended := 0
	for _, k := range slices.SortedFunc(maps.Keys(c.mits), compareKeys) {
		if m := c.mits[k]; m != nil && m.phase == live && !c.stillAllowed(m) {
			ended++
		}
	}
	for _, k := range slices.SortedFunc(maps.Keys(c.asks), compareKeys) {
		if a := c.asks[k]; a != nil {
			a.ruling = dots.Maybe[policy.Ruling]{} // it was another policy's question
			c.unpark(a)
		}
	}
	c.out.note(slog.LevelInfo, "rules changed", slog.Int("mitigations", len(c.mits)), slog.Int("ended", ended))
	c.orderDone(ev.Ticket, nil)
}

// stillAllowed lets a live mitigation follow today's policy, and ends it where its client may not have it any more: status 7, so that it is told.
//
// RFC 9132, Section 4.4.1: a target must be the client's domain's at any time; Section 4.4.2: status 7 says that the server withdrew it.
func (c *Core) stillAllowed(m *mitigation) bool {
	if err := c.renew(m); err != nil {
		c.out.note(slog.LevelWarn, "mitigation no longer allowed", keyAttrs(m.key, slog.String("domain", m.grant.Domain),
			slog.Any("targets", targets(m.asked.Target)), slog.String("code", err.Code.String()), slog.String("reason", err.Text))...)
		c.withdrawnByUs(m)
		return false
	}
	c.gauge(m)
	return true
}

// renew makes a live mitigation's grant that of today's policy and of the names as they are now known. What it refuses stays as it was.
func (c *Core) renew(m *mitigation) *dots.Error {
	g, err := c.policy.Renew(view{c}, m.grant)
	if err != nil {
		return err
	}
	before := m.record().Value
	lower(c.liveIn, m.grant.Domain)
	c.liveIn[g.Domain]++
	m.grant = g
	c.index.Insert(m.key, g.Domain, g.Expanded)
	if !bytes.Equal(before, m.record().Value) {
		c.recordMitigation(m, nil)
	}
	c.touch(m)
	return nil
}
