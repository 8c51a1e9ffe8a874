package upstream

import (
	"context"
	"fmt"
)

// runner is a line with what it was made of, and its life.
type runner struct {
	line
	cfg  LinkConfig
	stop context.CancelFunc // nil: it was not started
	over chan struct{}      // closed when it has stopped
}

// runner makes a line of its configuration.
func (m *Manager) runner(lc LinkConfig) *runner {
	if lc.Mitigator != nil {
		return &runner{line: newLocal(m.cfg, lc), cfg: lc}
	}
	return &runner{line: newLink(m.cfg, lc), cfg: lc}
}

// start lets a line run, unless nothing does. m.mu is held.
func (m *Manager) start(r *runner) {
	if m.ctx == nil || m.ended {
		return
	}
	ctx, stop := context.WithCancel(m.ctx)
	r.stop, r.over = stop, make(chan struct{})
	m.tasks.Go(func() {
		defer close(r.over)
		r.run(ctx)
	})
}

// change is what a Reload does with a line.
type change struct {
	old, next *runner // nil old: it is new; nil next: it goes
}

// Reload puts other links in the place of those in force. A link whose name and Fingerprint are unchanged goes on untouched, with the Dial
// or Mitigator that it has; only its Session is taken anew, on the session that there is. One that changed is stopped and started again with what is wanted of it. One that is new starts; one that is missing stops,
// and what was wanted of it is dropped: neither withdraws anything, so the caller has it withdrawn before where that is meant. Of each
// that was up and stops the core is told LinkDown.
//
// It returns when all of this is done, so it may wait for the core to take an event: the core's loop must not call it. On an
// error, which only the links themselves can give, nothing has changed. It may be called before, during and after Run.
func (m *Manager) Reload(links []LinkConfig) error {
	if len(links) == 0 {
		return errNoLinks
	}
	if err := checkLinks(links); err != nil {
		return fmt.Errorf("reloading uplinks: %w", err)
	}
	m.reloads.Lock()
	defer m.reloads.Unlock()
	changes := m.arrange(links)
	for _, c := range changes {
		if c.old != nil && c.old.stop != nil {
			c.old.stop()
		}
	}
	for _, c := range changes {
		m.retire(c)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range changes {
		if c.next != nil {
			m.start(c.next)
		}
	}
	return nil
}

// arrange exchanges the lines, so that what is wanted from now on reaches the new ones, and returns what is to be stopped and
// started.
func (m *Manager) arrange(links []LinkConfig) []change {
	m.mu.Lock()
	defer m.mu.Unlock()
	var changes []change
	gone := m.named
	m.lines, m.named = nil, make(map[string]*runner, len(links))
	for _, lc := range links {
		old := gone[lc.Name]
		delete(gone, lc.Name)
		r := old
		if old == nil || !old.cfg.same(lc) {
			r = m.runner(lc)
			if old != nil {
				r.want(old.base().wanted())
			}
			if m.stated {
				r.stated()
			}
			changes = append(changes, change{old, r})
		} else {
			r.cfg.Session = lc.Session
			if l, ok := r.line.(*link); ok {
				l.setSession(lc.Session)
			}
		}
		m.lines = append(m.lines, r)
		m.named[lc.Name] = r
	}
	for _, old := range gone {
		changes = append(changes, change{old: old})
	}
	return changes
}

// same reports whether two configurations make the same link.
func (lc LinkConfig) same(o LinkConfig) bool {
	return lc.Fingerprint == o.Fingerprint && (lc.Mitigator == nil) == (o.Mitigator == nil)
}

// retire waits for a line's end, hands on what it knew, and tells the core and the meter.
func (m *Manager) retire(c change) {
	old := c.old
	if old == nil {
		return
	}
	name, reason := old.cfg.Name, "configuration changed"
	if old.stop != nil {
		<-old.over
	}
	if c.next != nil {
		c.next.succeed(old)
	} else {
		reason = "removed from the configuration"
		m.cfg.Meter.Legs(name, LegCounts{})
	}
	m.cfg.Meter.UplinkUp(name, false)
	m.cfg.Logger.Info("uplink stopped by a reload", "uplink", name, "reason", reason)
	if old.base().toldUp() {
		m.cfg.Events.LinkDown(name, reason)
	}
}

// stated tells a mitigator that the whole wanted set was stated. What stands at a server and is not wanted is left to its lifetime's end,
// or to the core, which is told of it.
func (r *runner) stated() {
	if l, ok := r.line.(*local); ok {
		l.stated()
	}
}

// succeed takes over from the line that ran under this name what is known to be in force at a mitigator, and when a server was
// last dialled, and where it has sent us. Neither runs. What stands at a server is compared anew.
func (r *runner) succeed(old *runner) {
	switch to := r.line.(type) {
	case *local:
		if from, was := old.line.(*local); was {
			to.succeed(from)
		}
	case *link:
		if from, was := old.line.(*link); was {
			to.succeed(from, r.cfg.Where == old.cfg.Where)
		}
	}
}

// succeed takes over the count of session configurations and, where it is the same server, when that was last dialled and where it has sent us.
func (l *link) succeed(from *link, same bool) {
	from.mu.Lock()
	tried, sid, course := from.tried, from.sid, from.course
	from.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sid = sid
	if same {
		l.tried = tried // RFC 9132, Section 4.7: attempts are a minute apart, and a restart of ours is no exception
		// RFC 9132, Section 4.6: a redirect holds for its time. A name that is checked anew is another server, though.
		if l.follows && l.course.home == course.home {
			l.course = course
		}
	}
}
