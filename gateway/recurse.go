package gateway

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/dotsgate/dotsgate/dots"
)

// RecurseOrder is the operator's command to let a mitigation go on to an uplink, beyond the local mitigators of its domain.
type RecurseOrder struct {
	Client string // the entry
	// CUID and CDID tell which of the client's mitigations with that mid is meant; both may be empty where there is one.
	CUID, CDID string
	MID        uint32
	Uplink     string // an uplink or farm; empty: the domain's own
	Off        bool   // take the command back: the domain's rules decide again
}

// recurse acts on an operator's command. It holds until the mitigation ends, or the command is taken back.
//
// RFC 8811, Section 3.2.3: a gateway may ask another domain for mitigation.
func (c *Core) recurse(ev Recurse) {
	m, err := c.meantBy(ev.Order)
	switch {
	case err != nil:
	case ev.Order.Off:
		c.recurseNow(m, recursion{recursed: m.recursed && c.exceeded(m)})
	case !c.policy.Recurses(m.grant.Domain):
		err = fmt.Errorf("domain %q has no local mitigators, so that its mitigations are at its uplinks already", m.grant.Domain)
	case ev.Order.Uplink != "" && !c.policy.Reaches(ev.Order.Uplink):
		err = fmt.Errorf("no uplink or farm %q", ev.Order.Uplink)
	default:
		c.recurseNow(m, recursion{recursed: true, to: ev.Order.Uplink, byHand: true})
	}
	c.orderDone(ev.Ticket, err)
}

// meantBy finds the live mitigation that a command means.
func (c *Core) meantBy(o RecurseOrder) (*mitigation, error) {
	var found []*mitigation
	for _, m := range c.mitigationsOf(o.Client) {
		cl := m.key.Client
		if m.phase == live && m.key.MID == o.MID && (o.CUID == "" || o.CUID == cl.CUID) && (o.CDID == "" || o.CDID == cl.CDID) {
			found = append(found, m)
		}
	}
	switch len(found) {
	case 0:
		return nil, fmt.Errorf("client %q has no such mitigation; it has %s", o.Client, listed(c.mitigationsOf(o.Client)))
	case 1:
		return found[0], nil
	}
	return nil, fmt.Errorf("client %q has several with that mid, say which by cuid: %s", o.Client, listed(found))
}

// maxListed bounds the mitigations that an error names.
const maxListed = 16

// listed names mitigations for an operator.
func listed(of []*mitigation) string {
	var words []string
	for _, m := range of {
		if m.phase != live {
			continue
		}
		if len(words) == maxListed {
			words = append(words, "and more")
			break
		}
		word := fmt.Sprintf("%s %d", m.key.Client.CUID, m.key.MID)
		if m.key.Client.CDID != "" {
			word = m.key.Client.CDID + "/" + word
		}
		words = append(words, word)
	}
	if len(words) == 0 {
		return "none"
	}
	return strings.Join(words, ", ")
}

// recursion says whether a mitigation goes on to the uplinks.
type recursion struct {
	recursed bool
	to       string // the operator's choice; empty: the domain's
	byHand   bool   // by the operator's command: no rule takes it back
}

// recurseNow lets a mitigation go on to the uplinks, or go back, durably. Its legs follow.
func (c *Core) recurseNow(m *mitigation, to recursion) {
	from := m.recursion
	m.calmAt = time.Time{}
	c.due.arm(m)
	if to == from {
		return
	}
	if to.recursed && !from.recursed {
		c.counts.Recursed++
	}
	c.out.note(slog.LevelWarn, "mitigation recurses", keyAttrs(m.key, slog.Bool("on", to.recursed), slog.String("to", to.to), slog.Bool("by_hand", to.byHand))...)
	m.recursion = to
	c.recordMitigation(m, func(*Ready) {
		if m.recursion == to {
			m.recursion = from
			c.touch(m)
		}
	})
	c.touch(m)
}

// gauge applies the domain's rules to what the local mitigators report of a mitigation. It goes on at once where one of them is exceeded, and back
// only after none was for the domain's hold.
func (c *Core) gauge(m *mitigation) {
	if m.byHand || m.phase != live {
		return
	}
	switch exceeded := c.exceeded(m); {
	case exceeded && !m.recursed:
		c.recurseNow(m, recursion{recursed: true})
		return
	case exceeded || !m.recursed:
		m.calmAt = time.Time{}
	case m.calmAt.IsZero():
		m.calmAt = c.now.Add(c.policy.RecursionHold(m.grant.Domain))
	}
	c.due.arm(m)
}

// calm ends a recursion whose reasons are gone.
func (c *Core) calm(m *mitigation) {
	m.calmAt = time.Time{}
	if m.phase == live && m.recursed && !m.byHand && !c.exceeded(m) {
		c.recurseNow(m, recursion{})
	}
}

// exceeded reports whether a mitigation is more than the local mitigators bear, by their newest reports, or its domain has more mitigations than
// they do.
func (c *Core) exceeded(m *mitigation) bool {
	domain, n := m.grant.Domain, c.liveIn[m.grant.Domain]
	if c.policy.Exceeds(domain, dots.Report{}, n, m.recursed) {
		return true
	}
	return slices.ContainsFunc(m.legs, func(k dots.LegKey) bool {
		l := c.leg(k)
		return l != nil && c.policy.IsMitigator(domain, k.Uplink) && l.report.Status != 0 && c.policy.Exceeds(domain, l.report, n, m.recursed)
	})
}
