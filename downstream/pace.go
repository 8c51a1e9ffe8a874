package downstream

import "time"

// pace decides when an observer is told next: on a change, periodically while the mitigation is active, and never
// closer than the gap (RFC 9132, Section 4.4.2.1). Changes meanwhile coalesce, because the state is asked for when it
// is sent. The zero last is "never". Not safe for concurrent use.
type pace struct {
	gap, every time.Duration
	phase      time.Duration // by how much later than it might be it is told of a change; see phaseOf
	last       time.Time     // of the answer or the notification sent last
	changed    bool          // since the state was last asked for
	since      time.Time     // when it first changed since then
	asking     bool          // the state has been asked for, and is not here yet
	active     bool          // something of what was sent last is active
}

// phases are how many moments there are in phaseSpan, a part of the gap, at which observers are told of one change.
const (
	phases    = 60
	phaseSpan = 10
)

// phaseOf is the phase of the n-th observer. One event at an uplink is news for many, and what leaves for all at one moment finds room for one
// or two in the full queue of a saturated line: so they are told one after the other, within a tenth of the gap.
func phaseOf(n uint64, gap time.Duration) time.Duration {
	return gap / phaseSpan * time.Duration(n%phases) / phases
}

// change notes that the state has changed.
func (p *pace) change(now time.Time) {
	if !p.changed {
		p.changed, p.since = true, now
	}
}

// ask notes that the state is being asked for now, so that it holds every change so far.
func (p *pace) ask() { p.asking, p.changed = true, false }

// sent notes that the state asked for went out.
func (p *pace) sent(now time.Time, active bool) { p.asking, p.last, p.active = false, now, active }

// failed notes that the state could not be had; it is asked for again after the gap.
func (p *pace) failed(now time.Time) {
	p.change(now)
	p.asking, p.last = false, now
}

// next returns when to ask for the state again, if at all. The time may have passed already.
func (p *pace) next() (at time.Time, ok bool) {
	switch {
	case p.asking:
		return time.Time{}, false
	case p.changed:
		return latest(p.last.Add(p.gap), p.since).Add(p.phase), true
	case p.active:
		return p.last.Add(max(p.every, p.gap)), true
	}
	return time.Time{}, false
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
