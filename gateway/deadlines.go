package gateway

import "time"

// deadlines is a heap of what of the core has a time at which it is due: one entry for each owner, and none without a time.
type deadlines struct{ h []slot }

// owner is what has a deadline.
type owner interface {
	// dueAt returns the owner's next deadline; zero: none.
	dueAt() time.Time
	// entry is its place in the heap.
	entry() *alarm
}

// alarm is embedded in an owner.
type alarm struct {
	at  time.Time
	pos int // in the heap, from 1; 0: not in it
}

func (a *alarm) entry() *alarm { return a }

// slot is an owner in the heap, with its time beside it: comparing is all that a heap does.
type slot struct {
	at    time.Time
	owner owner
	alarm *alarm
}

// arm makes the heap say what the owner says now.
func (d *deadlines) arm(o owner) {
	at, e := o.dueAt(), o.entry()
	switch {
	case at.IsZero():
		d.disarm(o)
	case e.pos == 0:
		e.at = at
		d.h = append(d.h, slot{at, o, e})
		e.pos = len(d.h)
		d.up(len(d.h) - 1)
	case !at.Equal(e.at):
		e.at, d.h[e.pos-1].at = at, at
		d.fix(e.pos-1, len(d.h))
	}
}

// disarm takes an owner out, if it is in.
func (d *deadlines) disarm(o owner) {
	if e := o.entry(); e.pos != 0 {
		d.remove(e.pos - 1)
	}
}

// next returns the earliest deadline; zero: none.
func (d *deadlines) next() time.Time {
	if len(d.h) == 0 {
		return time.Time{}
	}
	return d.h[0].at
}

// pop takes the first owner that is due by now. It is armed again by whoever handles it.
func (d *deadlines) pop(now time.Time) (owner, bool) {
	if len(d.h) == 0 || d.h[0].at.After(now) {
		return nil, false
	}
	o := d.h[0].owner
	d.remove(0)
	return o, true
}

// remove takes out what is at a place.
func (d *deadlines) remove(i int) {
	last := len(d.h) - 1
	if i != last {
		d.swap(i, last)
		d.fix(i, last)
	}
	d.h[last].alarm.pos = 0
	d.h[last] = slot{}
	d.h = d.h[:last]
}

// fix moves what is at a place to where it belongs among the first n.
func (d *deadlines) fix(i, n int) {
	if !d.down(i, n) {
		d.up(i)
	}
}

func (d *deadlines) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if !d.h[i].at.Before(d.h[parent].at) {
			return
		}
		d.swap(i, parent)
		i = parent
	}
}

func (d *deadlines) down(from, n int) (moved bool) {
	i := from
	for {
		child := 2*i + 1
		if child >= n {
			break
		}
		if right := child + 1; right < n && d.h[right].at.Before(d.h[child].at) {
			child = right
		}
		if !d.h[child].at.Before(d.h[i].at) {
			break
		}
		d.swap(i, child)
		i = child
	}
	return i > from
}

func (d *deadlines) swap(i, j int) {
	d.h[i], d.h[j] = d.h[j], d.h[i]
	d.h[i].alarm.pos, d.h[j].alarm.pos = i+1, j+1
}

// earliest returns the earliest of the times that are set.
func earliest(times ...time.Time) time.Time {
	var first time.Time
	for _, t := range times {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	return first
}

// passed reports whether a set time is reached.
func passed(t, now time.Time) bool { return !t.IsZero() && !t.After(now) }
