package gateway

import (
	"log/slog"
	"slices"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/policy"
)

// maxJoined bounds the callers that wait for one answer: repeats of a request beyond it are told to come back.
const maxJoined = 16

// mitigate takes a request in: a repeat of one that is being decided joins it, everything else goes to policy.
func (c *Core) mitigate(ev Mitigate) {
	key := dots.MitigationKey{Client: ev.Ask.Client, MID: ev.Ask.Request.MID}
	if a := c.asks[key]; a != nil {
		c.joinAsking(a, ev)
		return
	}
	if m := c.mits[key]; m != nil && (c.joinWaiting(m, ev) || c.crowded(m, ev)) {
		return
	}
	c.admit(key, ev.Ask, []Ticket{ev.Ticket})
}

// joinAsking lets a repeat wait for the same names: one execution, same answer (RFC 9132, Section 4.4).
func (c *Core) joinAsking(a *asking, ev Mitigate) {
	switch {
	case !sameRequest(a.ask.Request, ev.Ask.Request):
		c.out.refuse(ev.Ticket, dots.Refuse(dots.CodeBadRequest, "mid in use with other parameters"))
	case len(a.tickets) >= maxJoined:
		c.out.refuse(ev.Ticket, c.busy("too many repeats"))
	default:
		a.tickets = append(a.tickets, ev.Ticket)
	}
}

// joinWaiting lets a repeat of a request that waits for its uplink wait with it. A changed lifetime is no repeat.
func (c *Core) joinWaiting(m *mitigation, ev Mitigate) bool {
	if len(m.wait) == 0 || m.phase != live || ev.Ask.Efficacy || !sameRequest(m.asked, ev.Ask.Request) ||
		m.asked.Lifetime != ev.Ask.Request.Lifetime {
		return false
	}
	if c.crowded(m, ev) {
		return true
	}
	m.wait = append(m.wait, waiter{ev.Ticket, m.wait[0].code, m.seq})
	return true
}

// crowded refuses a caller where too many wait already.
func (c *Core) crowded(m *mitigation, ev Mitigate) bool {
	if len(m.wait) < maxJoined {
		return false
	}
	c.out.refuse(ev.Ticket, c.busy("too many repeats"))
	return true
}

// sameRequest reports whether two requests differ in nothing but the lifetime and the client's view of the attack.
func sameRequest(a, b dots.Request) bool {
	return a.Target.Equal(b.Target) && a.OnSignalLoss == b.OnSignalLoss && slices.Equal(a.ACLs, b.ACLs) &&
		slices.Equal(a.Source.Prefixes, b.Source.Prefixes) && slices.Equal(a.Source.Ports, b.Source.Ports) &&
		slices.Equal(a.Source.ICMPTypes, b.Source.ICMPTypes)
}

// admit asks policy, and acts on what it says.
func (c *Core) admit(key dots.MitigationKey, ask dots.Ask, tickets []Ticket) {
	a := policy.Ask{
		Client: ask.Client, Request: ask.Request, Efficacy: ask.Efficacy, Update: ask.Update, OwnCUID: ask.OwnCUID,
	}
	if b := c.cuids[nameOf(ask.Client)]; b != nil {
		a.CUIDOwner, a.CUIDProven = b.owner, b.proven
	}
	m := c.mits[key]
	if m != nil && m.phase == live {
		a.Held = dots.Some(m.asked)
	}
	v := c.policy.Admit(view{c}, a)
	switch {
	case v.Deny != nil:
		c.inform(v.Grant.Informs)
		c.deny(key, v.Deny, tickets)
	case len(v.Questions) > 0:
		c.park(key, ask, tickets, v.Questions)
	case v.Grant.Refresh && m != nil && m.phase == live:
		c.refresh(m, ask, v.Grant, tickets)
	default:
		c.create(key, ask, v.Grant, tickets)
	}
}

// deny answers with policy's refusal. Nothing reaches an uplink.
func (c *Core) deny(key dots.MitigationKey, err *dots.Error, tickets []Ticket) {
	if err.Code == dots.CodeSilent {
		for _, t := range tickets {
			c.out.reply(t, dots.Answer{Code: dots.CodeSilent})
		}
		return
	}
	c.out.note(slog.LevelInfo, "mitigation refused", keyAttrs(key, slog.String("code", err.Code.String()), slog.String("reason", err.Text))...)
	for _, t := range tickets {
		c.out.refuse(t, err)
	}
}

// inform shows a conflict to the other side of it, once: repeats of the refused request tell it nothing new.
func (c *Core) inform(informs []policy.Inform) {
	for _, i := range informs {
		if m := c.mits[i.Key]; m != nil && m.phase == live && !sameConflict(m.own, i.Conflict) {
			m.own = dots.Some(i.Conflict)
			c.out.Changed = append(c.out.Changed, i.Key)
			c.out.wait(m.seq)
		}
	}
}

// sameConflict reports whether a conflict is the one that is shown already.
func sameConflict(shown dots.Maybe[dots.Conflict], c dots.Conflict) bool {
	s := shown.Value
	return shown.Set && s.Status == c.Status && s.Cause == c.Cause && s.MID == c.MID && s.Scope.Equal(c.Scope)
}

// park lets a request wait until its names are resolved.
func (c *Core) park(key dots.MitigationKey, ask dots.Ask, tickets []Ticket, questions []string) {
	if c.tooManyNames(key.Client.Name, questions) {
		c.deny(key, c.busy("too many names to resolve"), tickets)
		return
	}
	a := &asking{ask: ask, tickets: tickets, names: map[string]bool{}, until: c.now.Add(c.cfg.AnswerWait)}
	for _, q := range questions {
		a.names[q] = true
		c.question(q, key.Client.Name)
	}
	c.asks[key] = a
	c.asksOf[key.Client.Name]++
	c.due.arm(a)
}

// tooManyNames reports whether a request must not wait for names: there are too many for all, or too many of its client entry's, which
// must not take what the others need.
func (c *Core) tooManyNames(client string, questions []string) bool {
	fresh := 0
	for _, q := range questions {
		if c.names[q] == nil {
			fresh++
		}
	}
	return len(c.asks) >= c.cfg.MaxAsking || c.asksOf[client] >= c.cfg.MaxAskingOf ||
		len(c.names)+fresh > c.cfg.MaxNames || fresh > 0 && c.spareOf[client]+fresh > c.cfg.MaxNamesOf
}

// lower counts one less, and forgets who has none.
func lower(counts map[string]int, who string) {
	if counts[who]--; counts[who] == 0 {
		delete(counts, who)
	}
}

// askingDue gives up waiting for names: what is not answered by then counts as failed, and policy says what that means.
func (c *Core) askingDue(a *asking) {
	for n := range a.names {
		if known := c.names[n]; known != nil && !known.answered {
			known.answered = true
			known.res = policy.Resolution{Failed: true}
		}
	}
	c.unpark(a)
}

// unpark hands a request to policy again.
func (c *Core) unpark(a *asking) {
	key := dots.MitigationKey{Client: a.ask.Client, MID: a.ask.Request.MID}
	if c.asks[key] != a {
		return
	}
	c.dropAsking(key, a)
	c.admit(key, a.ask, a.tickets)
}

func (c *Core) dropAsking(key dots.MitigationKey, a *asking) {
	delete(c.asks, key)
	lower(c.asksOf, key.Client.Name)
	c.due.disarm(a)
}

// busy is a refusal that asks to come back.
func (c *Core) busy(text string) *dots.Error {
	return &dots.Error{Code: dots.CodeUnavailable, Text: text, MaxAge: policy.DefaultRetryAfter}
}

// keyAttrs names a mitigation in a log line.
func keyAttrs(k dots.MitigationKey, more ...slog.Attr) []slog.Attr {
	attrs := []slog.Attr{slog.String("client", k.Client.Name), slog.String("cuid", k.Client.CUID)}
	if k.Client.CDID != "" {
		attrs = append(attrs, slog.String("cdid", k.Client.CDID))
	}
	return append(append(attrs, slog.Uint64("mid", uint64(k.MID))), more...)
}

// legAttrs names a leg in a log line.
func legAttrs(k dots.LegKey, more ...slog.Attr) []slog.Attr {
	return append([]slog.Attr{slog.String("uplink", k.Uplink), slog.String("uplink_cuid", k.CUID), slog.Uint64("uplink_mid", uint64(k.MID))}, more...)
}
