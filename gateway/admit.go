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
func (c *Core) mitigate(ev *Mitigate) {
	a := &asking{ask: &ev.Ask, tickets: []Ticket{ev.Ticket}}
	key := a.key()
	if first := c.asks[key]; first != nil {
		c.joinAsking(first, a)
		return
	}
	m := c.mits[key]
	if m != nil && (c.joinWaiting(m, ev) || c.crowded(m, a)) {
		return
	}
	if (m == nil || m.phase != live) && c.comesRound(ev.Ask) {
		c.deny(a, dots.Refuse(dots.CodeLoop, c.cfg.NodeID))
		return
	}
	if err := c.tooFast(m, ev.Ask); err != nil {
		c.deny(a, err)
		return
	}
	c.admit(a)
}

// joinAsking lets a repeat wait for the same answers: one execution, same answer (RFC 9132, Section 4.4).
func (c *Core) joinAsking(first, repeat *asking) {
	switch {
	case !sameRequest(first.ask.Request, repeat.ask.Request):
		c.deny(repeat, dots.Refuse(dots.CodeBadRequest, "mid in use with other parameters"))
	case len(first.tickets) >= maxJoined:
		c.deny(repeat, c.busy("too many repeats"))
	default:
		first.tickets = append(first.tickets, repeat.tickets...)
		first.ask.HopLimit = min(first.ask.HopLimit, repeat.ask.HopLimit)
	}
}

// joinWaiting lets a repeat of a request that waits for its uplink wait with it. A changed lifetime is no repeat; nor is a changed Hop-Limit, by which
// a request that goes in a circle is found (RFC 8768, Section 3).
func (c *Core) joinWaiting(m *mitigation, ev *Mitigate) bool {
	if len(m.wait) == 0 || m.phase != live || ev.Ask.Efficacy || !sameRequest(m.asked, ev.Ask.Request) ||
		m.asked.Lifetime != ev.Ask.Request.Lifetime || m.hopLimit != ev.Ask.HopLimit {
		return false
	}
	if len(m.wait) >= maxJoined {
		return false // crowded says so
	}
	m.wait = append(m.wait, waiter{ev.Ticket, m.wait[0].code, m.seq})
	return true
}

// crowded refuses a caller where too many wait already.
func (c *Core) crowded(m *mitigation, a *asking) bool {
	if len(m.wait) < maxJoined {
		return false
	}
	c.deny(a, c.busy("too many repeats"))
	return true
}

// sameRequest reports whether two requests differ in nothing but the lifetime and the client's view of the attack.
func sameRequest(a, b dots.Request) bool {
	return a.Target.Equal(b.Target) && a.OnSignalLoss == b.OnSignalLoss && slices.Equal(a.ACLs, b.ACLs) &&
		slices.Equal(a.Source.Prefixes, b.Source.Prefixes) && slices.Equal(a.Source.Ports, b.Source.Ports) &&
		slices.Equal(a.Source.ICMPTypes, b.Source.ICMPTypes)
}

// admit asks policy, and acts on what it says.
func (c *Core) admit(a *asking) {
	key := a.key()
	m := c.mits[key]
	v := c.policy.Admit(view{c}, c.askOf(a, m))
	switch {
	case v.Deny != nil:
		c.inform(v.Grant.Informs)
		c.deny(a, v.Deny)
	case len(v.Questions) > 0:
		c.park(a, v.Questions)
	case v.Consult:
		c.consult(a, v.Grant)
	case v.Grant.Refresh && m != nil && m.phase == live:
		c.refresh(m, a, v.Grant)
	default:
		if err := c.takeCUID(a.ask.Client); err != nil {
			c.deny(a, err)
			return
		}
		c.create(a, v.Grant)
		if m := c.mits[key]; m != nil {
			c.gauge(m)
		}
	}
}

// askOf is a request as policy is asked, with what the core holds of its client, and of its mid: m, or nothing.
func (c *Core) askOf(a *asking, m *mitigation) policy.Ask {
	ask := policy.Ask{
		Client: a.ask.Client, Request: a.ask.Request, Efficacy: a.ask.Efficacy, Update: a.ask.Update, OwnCUID: a.ask.OwnCUID, Ruling: a.ruling,
	}
	if b := c.cuids[nameOf(ask.Client)]; b != nil {
		ask.CUIDOwner, ask.CUIDProven = b.owner, b.proven
	}
	if m != nil && m.phase == live {
		ask.Held, ask.Granted = dots.Some(m.asked), &m.grant // which follows each new policy (stillAllowed)
	}
	return ask
}

// deny answers with a refusal. Nothing reaches an uplink.
func (c *Core) deny(a *asking, err *dots.Error) {
	if err.Code == dots.CodeSilent {
		for _, t := range a.tickets {
			c.out.reply(t, dots.Answer{Code: dots.CodeSilent})
		}
		return
	}
	c.out.note(slog.LevelInfo, "mitigation refused", c.audit(a, err.Code, slog.String("reason", err.Text))...)
	for _, t := range a.tickets {
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
func (c *Core) park(a *asking, questions []string) {
	client := a.ask.Client.Name
	if c.tooManyNames(client, questions) {
		c.deny(a, c.busy("too many names to resolve"))
		return
	}
	a.names = map[string]bool{}
	for _, q := range questions {
		a.names[q] = true
		c.question(q, client)
	}
	c.keepAsking(a)
}

// keepAsking lets a request wait for what was asked on its behalf, at most AnswerWait.
func (c *Core) keepAsking(a *asking) {
	c.asks[a.key()] = a
	c.asksOf[a.ask.Client.Name]++
	a.until = c.now.Add(c.cfg.AnswerWait)
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
	return c.tooManyAsk(client) ||
		len(c.names)+fresh > c.cfg.MaxNames || fresh > 0 && c.spareOf[client]+fresh > c.cfg.MaxNamesOf
}

// tooManyAsk reports whether too many requests wait already, of all or of a client entry.
func (c *Core) tooManyAsk(client string) bool {
	return len(c.asks) >= c.cfg.MaxAsking || c.asksOf[client] >= c.cfg.MaxAskingOf
}

// lower counts one less, and forgets who has none.
func lower(counts map[string]int, who string) {
	if counts[who]--; counts[who] == 0 {
		delete(counts, who)
	}
}

// askingDue gives up waiting: what is not answered by then counts as failed, and policy says what that means.
func (c *Core) askingDue(a *asking) {
	for n := range a.names {
		if known := c.names[n]; known != nil && !known.answered {
			known.answered = true
			known.res = policy.Resolution{Failed: true}
		}
	}
	if a.consult != 0 {
		c.ruled(a, policy.Ruling{Failed: true, Reason: "no answer in time"})
		return
	}
	c.unpark(a)
}

// unpark hands a request to policy again.
func (c *Core) unpark(a *asking) {
	if c.asks[a.key()] == a {
		c.dropAsking(a)
		c.admit(a)
	}
}

// dropAsking takes a request out that waits; answers to what was asked for it come too late then.
func (c *Core) dropAsking(a *asking) {
	delete(c.asks, a.key())
	lower(c.asksOf, a.ask.Client.Name)
	a.names, a.consult = nil, 0
	c.due.disarm(a)
}

// busy is a refusal that asks to come back.
func (c *Core) busy(text string) *dots.Error {
	return &dots.Error{Code: dots.CodeUnavailable, Text: text, MaxAge: policy.DefaultRetryAfter}
}
