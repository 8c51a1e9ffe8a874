package ctl

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/dotsgate/dotsgate/dots"
)

// conflictText says in words what a conflict is about. What the peer put into it is not escaped.
func conflictText(c dots.Conflict) string {
	words := map[dots.ConflictCause]string{
		dots.CauseOverlappingTargets: "overlapping targets",
		dots.CauseAcceptList:         "conflict with an accept-list",
		dots.CauseCUIDCollision:      "the cuid is in use by another client",
		dots.CauseLegitimateTraffic:  "rejected as legitimate traffic",
		dots.CauseOverlappingPipes:   "overlapping pipes",
	}
	text, ok := words[c.Cause]
	if !ok {
		text = fmt.Sprintf("conflict of cause %d", c.Cause)
	}
	if c.MID.Set {
		text += fmt.Sprintf(" with mid %d", c.MID.Value)
	}
	if !c.Scope.Empty() {
		text += " on " + targetText(c.Scope)
	}
	if c.RetryTimer > 0 {
		text += fmt.Sprintf(", again after %d s", c.RetryTimer)
	}
	return text
}

// targetText lists what a target names.
func targetText(t dots.Target) string {
	var parts []string
	for _, p := range t.Prefixes {
		parts = append(parts, p.String())
	}
	parts = append(parts, t.FQDNs...)
	parts = append(parts, t.URIs...)
	for _, a := range t.Aliases {
		parts = append(parts, "alias "+a)
	}
	for _, p := range t.Ports {
		parts = append(parts, "port "+portText(p))
	}
	for _, p := range t.Protocols {
		parts = append(parts, "protocol "+strconv.Itoa(int(p)))
	}
	return strings.Join(parts, " ")
}

func portText(p dots.PortRange) string {
	if p.Lower == p.Upper {
		return strconv.Itoa(int(p.Lower))
	}
	return fmt.Sprintf("%d-%d", p.Lower, p.Upper)
}

// lifetimeText is a lifetime for people.
func lifetimeText(l dots.Lifetime) string {
	if l == dots.Indefinite {
		return "for ever"
	}
	return strconv.FormatInt(int64(l), 10) + " s"
}

// countersText tells what was dropped, or nothing where nothing is known.
func countersText(c dots.Counters) string {
	var parts []string
	if c.BytesDropped.Set {
		parts = append(parts, scaled(c.BytesDropped.Value)+"B")
	}
	if c.PktsDropped.Set {
		parts = append(parts, scaled(c.PktsDropped.Value)+"packets")
	}
	if c.BytesPerSecond.Set {
		parts = append(parts, scaled(c.BytesPerSecond.Value)+"B/s")
	}
	if c.PktsPerSecond.Set {
		parts = append(parts, scaled(c.PktsPerSecond.Value)+"packets/s")
	}
	if parts == nil {
		return ""
	}
	return "dropped " + strings.Join(parts, ", ")
}

// scaled is a count with three digits or so and a decimal prefix for the unit that follows.
func scaled(n uint64) string {
	const step = 1000
	if n < step {
		return strconv.FormatUint(n, 10) + " "
	}
	v, prefixes := float64(n)/step, "kMGTPE"
	for v >= step && len(prefixes) > 1 {
		v, prefixes = v/step, prefixes[1:]
	}
	digits := 2
	if v >= 10 {
		digits = 1
	}
	return strconv.FormatFloat(v, 'f', digits, 64) + " " + prefixes[:1]
}

// reportText is a mitigation's state in one line, escaped for terminals.
func reportText(r dots.Report) string {
	parts := []string{fmt.Sprintf("mid %d", r.MID), r.Status.String()}
	if r.Status != dots.StatusTerminated {
		parts = append(parts, "lifetime "+lifetimeText(r.Lifetime))
	}
	if !r.Target.Empty() {
		parts = append(parts, "target "+targetText(r.Target))
	}
	if text := countersText(r.Counters); text != "" {
		parts = append(parts, text)
	}
	if r.Conflict.Set {
		parts = append(parts, "conflict: "+conflictText(r.Conflict.Value))
	}
	return Clean(strings.Join(parts, "  "))
}
