package gateway

import (
	"log/slog"
	"slices"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/policy"
)

// maxDoubted bounds the legs that are asked for again because of one list, so that a wrong one is no storm of requests.
const maxDoubted = 64

// doubtful reports whether it is time to ask for a placed leg that a list does not name.
func (c *Core) doubtful(l *leg) bool {
	return !l.doubted && c.now.Sub(l.placedAt) >= endedVisible && (l.doubtedAt.IsZero() || c.now.Sub(l.doubtedAt) >= recreateGap)
}

// doubt asks for a leg under its own mid. An uplink that has it takes that for a refresh (RFC 9132, Section 4.4.1.3); one that lost it makes
// it anew, or refuses it, and only then it is asked for under a new mid.
func (c *Core) doubt(l *leg) {
	c.out.note(slog.LevelWarn, "leg is missing in the uplink's list, asking again", legAttrs(l.want.Key)...)
	l.doubted, l.doubtedAt = true, c.now
	c.askAgain(l)
}

// certain reports whether a leg stands as far as we know: one that a list does not name may have gone.
func (l *leg) certain() bool { return l.state == placed && !l.vanished && !l.doubted }

// gone reports whether a refusal says of a doubted leg that it went, and not that the uplink has a reason not to take it.
func (c *Core) gone(l *leg, a dots.LegAnswer) bool {
	switch conflict := a.Conflict.Value; {
	case !l.doubted || c.newerThan(l).Set:
		return false
	case a.Code == dots.CodeConflict:
		return conflict.Cause == dots.CauseOverlappingTargets && conflict.RetryTimer == 0
	}
	return a.Code == dots.CodeBadRequest || a.Code == dots.CodeNotFound
}

// mind notes how long an uplink wants to hear no other request for what it withdrew (RFC 9132, Section 4.4.1.3).
func (l *leg) mind(conflict dots.Maybe[dots.Conflict], now time.Time) {
	if s := conflict.Value.RetryTimer; conflict.Set && s > 0 {
		l.notBefore = now.Add(time.Duration(s) * time.Second)
	}
}

// earliestAnew is when a leg may be asked for under a new mid.
func (l *leg) earliestAnew() time.Time {
	if wait := l.placedAt.Add(recreateGap); !l.placedAt.IsZero() && wait.After(l.notBefore) {
		return wait
	}
	return l.notBefore
}

// meant reports whether status 7 of a leg is the uplink's will. Of an armed one it tells that an immediate one pushed it back, of one that
// carries triggered ones only the same, and of one whose place another one of ours takes that this one did (RFC 9132, Section 4.4.1.3).
func (c *Core) meant(l *leg) bool {
	return l.state == placed && l.current && !l.want.Request.OnSignalLoss &&
		slices.ContainsFunc(l.members, func(m *mitigation) bool { return m.phase == live && !m.asked.OnSignalLoss })
}

// uplinkWithdrew ends mitigations that the uplink withdrew. Nothing is asked for again there: the client sees why, and for how long
// (RFC 9132, Section 4.4.1.3). What a leg carries of triggered ones is asked for anew when it may be.
func (c *Core) uplinkWithdrew(l *leg, r dots.Report) {
	l.report = r
	l.mind(r.Conflict, c.now)
	var out policy.Outcome
	if r.Conflict.Set && r.Conflict.Value.Cause != dots.CauseCUIDCollision {
		out.ToClient = &dots.Error{Conflict: r.Conflict}
	}
	for _, m := range l.members {
		if m.asked.OnSignalLoss || m.phase != live {
			continue
		}
		c.out.note(slog.LevelWarn, "uplink withdrew a mitigation", keyAttrs(m.key, slog.String("uplink", l.want.Key.Uplink),
			slog.Uint64("uplink_mid", uint64(l.want.Key.MID)))...)
		own := out
		if out.ToClient != nil {
			own.ToClient = &dots.Error{Conflict: dots.Some(policy.TranslateConflict(r.Conflict.Value, m.grant.Outside.Expanded))}
		}
		c.accepted(m) // it stood
		c.refusedAt(m, l.want.Key.Uplink, own)
	}
	if slices.ContainsFunc(l.members, func(m *mitigation) bool { return m.phase == live && m.asked.OnSignalLoss }) {
		l.vanished = true
		c.setStood(l, false)
		c.recreate(l)
	}
}
