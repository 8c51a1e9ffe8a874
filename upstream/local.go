package upstream

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
)

const (
	// callTimeout bounds a call of a Mitigator but Open, which has DialTimeout.
	callTimeout = 30 * time.Second
	// goneAfter is how many calls in a row fail before a mitigator is taken as gone. A refusal is no failure.
	goneAfter = 5
	// endsEvery is after how many calls for what is wanted one ends what is not, however many there still are.
	endsEvery = 16
	// statusBatch is of how many legs a Mitigator is asked at once.
	statusBatch = 256
)

// local is an uplink that is a mitigator of our own. Its plan is that of a server, as if the mitigator were one: its answers are made of what
// the mitigator's methods return. What a server does by itself is done here: mitigations end with their lifetimes, and what nobody wants is
// ended.
type local struct {
	*link
	mitigator Mitigator

	// under mu
	stands   *stands
	answered time.Time // the last call without an error or with a refusal

	// of the goroutine that runs
	told    map[string]bool // cuids whose list the core has, since the mitigator was opened
	turns   int             // that were taken
	fails   int             // calls in a row that failed
	tells   bool            // it has told a status since it was opened
	counted LegCounts       // told to the meter
}

func newLocal(cfg Config, lc LinkConfig) *local {
	t := cfg.timing()
	t.poll = cmp.Or(lc.StatusInterval, DefaultStatusInterval)
	base := newLink(cfg, lc)
	base.plan = newPlan(cfg.MaxInFlight, t)
	base.plan.sighted = true // no list is too large for a mitigator
	l := &local{link: base, mitigator: lc.Mitigator}
	l.stands = newStands(t, func(k dots.LegKey) bool { return l.plan.entries[k] != nil })
	return l
}

// forget drops keys; what of them is in force is ended. A call that is under way for what changes goes on: a mitigator that is interrupted may
// have done half of it.
func (l *local) forget(keys []dots.LegKey) {
	l.mu.Lock()
	l.plan.forget(keys)
	for _, k := range keys {
		l.stands.look(l.cfg.Now(), k)
	}
	l.mu.Unlock()
	l.rouse()
}

// stated lets what is in force and not wanted be ended.
func (l *local) stated() {
	l.mu.Lock()
	l.stands.whole = true
	l.stands.lookAtAll(l.cfg.Now())
	l.mu.Unlock()
	l.rouse()
}

// succeed takes over what was known to be in force. Neither runs.
func (l *local) succeed(old *local) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stands.known = maps.Clone(old.stands.known)
	for _, t := range l.stands.known {
		t.waits = time.Time{}
	}
	l.stands.lookAtAll(l.cfg.Now())
}

// run keeps the mitigator open until ctx ends.
func (l *local) run(ctx context.Context) {
	l.cfg.Meter.UplinkUp(l.name, false)
	for {
		if _, due := l.pause(ctx); !due {
			return
		}
		began := l.cfg.Now()
		l.begun(began)
		if !l.open(ctx) {
			continue
		}
		reason := l.work(ctx)
		if err := l.mitigator.Close(); err != nil {
			l.log.Info("closing a mitigator failed", "err", err)
		}
		l.mu.Lock()
		l.since, l.lastErr = l.cfg.Now(), reason.Error()
		l.plan.disconnected()
		l.mu.Unlock()
		if ctx.Err() == nil {
			l.log.Warn("mitigator lost", "err", reason)
			l.tellDown(reason, l.cfg.Now().Sub(began))
		}
	}
}

// open makes one attempt; false: it failed.
func (l *local) open(ctx context.Context) bool {
	call, cancel := context.WithTimeout(ctx, l.cfg.DialTimeout)
	defer cancel()
	keys, err := l.mitigator.Open(call)
	if err != nil {
		l.openFailed(ctx, err)
		return false
	}
	l.mu.Lock()
	now := l.cfg.Now()
	l.since, l.answered = now, now
	l.plan.connected()
	l.stands.found(now, keys)
	l.mu.Unlock()
	l.told, l.fails, l.tells = map[string]bool{}, 0, false
	l.log.Info("mitigator open", "in_force", len(keys))
	l.tellUp()
	return true
}

func (l *local) openFailed(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failures++
	l.lastErr = err.Error()
	l.log.Warn("opening a mitigator failed", "err", err, "failures", l.failures)
}

// work works the plan off until ctx ends or the mitigator is gone, and returns why.
func (l *local) work(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		busy, gone := l.turn(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if gone != nil {
			return gone
		}
		l.meter()
		if busy {
			continue
		}
		l.mu.Lock()
		wait := until(l.cfg.Now(), l.plan.deadline(), l.stands.deadline())
		l.mu.Unlock()
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-l.wake:
		case <-timer.C:
		}
	}
}

// turn does the most urgent job, and ends a mitigation that is to end by itself once nothing but questions is left to do, or now and then: what is
// in force without need comes after what is needed, the more as it may be the same that a leg which is to be started needs.
func (l *local) turn(ctx context.Context) (busy bool, gone error) {
	l.mu.Lock()
	j, isJob := l.plan.next(l.cfg.Now(), new(coap.Pace))
	l.mu.Unlock()
	l.turns++
	if !isJob || j.class == classGet || l.turns%endsEvery == 0 {
		if busy, gone = l.endOne(ctx); gone != nil {
			return true, gone
		}
	}
	if isJob {
		return true, l.do(ctx, j)
	}
	return busy, nil
}

// endOne ends a mitigation that is to end by itself, if there is one.
func (l *local) endOne(ctx context.Context) (busy bool, gone error) {
	l.mu.Lock()
	k, ok := l.stands.next(l.cfg.Now())
	l.mu.Unlock()
	if !ok {
		return false, nil
	}
	return true, l.end(ctx, k)
}

// meter tells the counts that have changed.
func (l *local) meter() {
	l.mu.Lock()
	counts := l.plan.counts
	l.mu.Unlock()
	if counts != l.counted {
		l.counted = counts
		l.cfg.Meter.Legs(l.name, counts)
	}
}

// do makes one call for the plan, and gives it the answer.
func (l *local) do(ctx context.Context, j job) (gone error) {
	l.introduce(j)
	resp, err := l.answer(ctx, j)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		l.log.Warn("mitigator failed, asking again", "mid", j.leg.Key.MID, "err", err)
	}
	l.tell(func(p *plan, now time.Time) []event {
		if err != nil {
			p.failed(now, j)
			return nil
		}
		events, fits := p.answered(now, j, resp)
		if fits && j.kind == kindPut && resp.Code.Success() {
			p.relist(j.leg.Key.CUID, time.Time{}) // how it fares is asked once nothing is more urgent
		}
		return events
	})
	return l.judge(j.kind == kindList, err)
}

// judge takes the outcome of a call into account, and says why the mitigator is gone, if it is. That it cannot tell a status is no sign
// unless it could before: many cannot at all.
func (l *local) judge(status bool, err error) (gone error) {
	switch {
	case err == nil && !status:
		l.fails = 0
	case errors.Is(err, ErrGone):
		return err
	case err != nil && (!status || l.tells):
		l.fails++
	}
	if l.fails >= goneAfter {
		return err
	}
	return nil
}

// introduce tells the core the whole list of a cuid before the first answer under it: that it is known what stands there, which a
// server's answer to a GET shows. Then a refusal is taken for what it says, and not for a sign of mids that were used before.
func (l *local) introduce(j job) {
	cuid := j.leg.Key.CUID
	if l.told[cuid] || j.kind == kindList {
		return
	}
	l.mu.Lock()
	if len(l.told) > 2*len(l.plan.lists)+64 {
		maps.DeleteFunc(l.told, func(c string, _ bool) bool { return l.plan.lists[c] == nil })
	}
	l.mu.Unlock()
	l.told[cuid] = true
	l.tell(func(_ *plan, now time.Time) []event {
		return []event{{cuid: cuid, complete: true, reports: l.reports(now, cuid)}}
	})
}

// end ends a mitigation that outlives its lifetime, or that nobody wants.
func (l *local) end(ctx context.Context, k dots.LegKey) (gone error) {
	err := l.stop(ctx, k)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		l.log.Warn("mitigator did not end a mitigation, trying again", "cuid", k.CUID, "mid", k.MID, "err", err)
		l.mu.Lock()
		l.stands.failed(l.cfg.Now(), k)
		l.mu.Unlock()
		if e := (*dots.Error)(nil); errors.As(err, &e) {
			err = nil
		}
		return l.judge(false, err)
	}
	l.tell(func(p *plan, now time.Time) []event {
		if !l.stands.stopped(k) {
			return nil
		}
		e := p.entries[k]
		e.stood = 0
		p.review(e)
		report, _ := l.stands.report(now, k)
		return []event{{cuid: k.CUID, reports: []dots.Report{report}}}
	})
	l.log.Info("mitigation ended", "cuid", k.CUID, "mid", k.MID)
	return l.judge(false, nil)
}

// reports is what stands of a cuid's wanted legs, by mid. mu is held.
func (l *local) reports(now time.Time, cuid string) []dots.Report {
	list := l.plan.lists[cuid]
	if list == nil {
		return nil
	}
	var reports []dots.Report
	for _, mid := range slices.Sorted(maps.Keys(list.legs)) {
		if r, ok := l.report(now, list.legs[mid].want); ok {
			reports = append(reports, r)
		}
	}
	return reports
}

// report is what stands of a leg; false: nothing. mu is held.
func (l *local) report(now time.Time, want dots.Leg) (dots.Report, bool) {
	r, ok := l.stands.report(now, want.Key)
	if !ok && want.Request.OnSignalLoss && !want.Withdraw {
		return dots.Report{
			MID: want.Key.MID, OnSignalLoss: true, Status: dots.StatusSignalLossArmed, Lifetime: want.Request.Lifetime.Or(dots.DefaultLifetime),
		}, true
	}
	return r, ok
}

// info is what the operator sees.
func (l *local) info() LinkInfo {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := l.facts()
	i.Local, i.Up, i.LastHeard, i.Standing = true, l.up, l.answered, len(l.stands.known)
	return i
}
