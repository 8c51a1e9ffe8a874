package downstream

import "time"

// pace decides when an observer is told next: on a change, periodically while the mitigation is active, and never
// closer than the gap (RFC 9132, Section 4.4.2.1). Changes meanwhile coalesce, because the state is asked for when it
// is sent. The zero last is "never". Not safe for concurrent use.
type pace struct {
	gap, every time.Duration
	last       time.Time // of the answer or the notification sent last
	changed    bool      // since the state was last asked for
	asking     bool      // the state has been asked for, and is not here yet
	active     bool      // something of what was sent last is active
}

// ask notes that the state is being asked for now, so that it holds every change so far.
func (p *pace) ask() { p.asking, p.changed = true, false }

// sent notes that the state asked for went out.
func (p *pace) sent(now time.Time, active bool) { p.asking, p.last, p.active = false, now, active }

// failed notes that the state could not be had; it is asked for again after the gap.
func (p *pace) failed(now time.Time) { p.asking, p.changed, p.last = false, true, now }

// next returns when to ask for the state again, if at all. The time may have passed already.
func (p *pace) next() (at time.Time, ok bool) {
	switch {
	case p.asking:
		return time.Time{}, false
	case p.changed:
		return p.last.Add(p.gap), true
	case p.active:
		return p.last.Add(max(p.every, p.gap)), true
	}
	return time.Time{}, false
}
