package upstream

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

// answer is what a server would answer to a job, made of what the mitigator does.
func (l *local) answer(ctx context.Context, j job) (wire.Response, error) {
	var resp wire.Response
	var err error
	switch j.kind {
	case kindPut:
		resp, err = l.put(ctx, j.leg)
	case kindDelete:
		if err = l.stop(ctx, j.leg.Key); err == nil {
			l.locked(func(time.Time) { delete(l.stands.known, j.leg.Key) })
			resp.Code = dots.CodeDeleted
		}
	case kindCheck: // what became of it is known: nothing is asked
		resp = l.found(j)
	case kindList:
		resp, err = l.list(ctx, j.leg.Key.CUID)
	}
	return refusedOr(resp, err)
}

// refusedOr turns a refusal into an answer; any other error is one.
func refusedOr(resp wire.Response, err error) (wire.Response, error) {
	var e *dots.Error
	if !errors.As(err, &e) {
		return resp, err
	}
	resp = wire.Response{Code: e.Code, Diagnostic: e.Text, Conflict: e.Conflict}
	if e.MaxAge > 0 {
		resp.MaxAge = dots.Some(uint32(min(e.MaxAge, 24*time.Hour) / time.Second))
	}
	return resp, nil
}

// locked does something under mu.
func (l *local) locked(f func(now time.Time)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f(l.cfg.Now())
}

// put puts a leg in force. One that is armed is not: it is ours to fire (RFC 9132, Section 4.4.1, trigger-mitigation).
func (l *local) put(ctx context.Context, leg dots.Leg) (wire.Response, error) {
	if leg.Request.OnSignalLoss {
		return l.arm(ctx, leg)
	}
	var known, may bool
	l.locked(func(now time.Time) {
		known = l.stands.known[leg.Key] != nil
		leg, may = l.stands.begin(now, leg)
	})
	if !may {
		return wire.Response{}, dots.Refuse(dots.CodeNotFound, "lifetime has ended")
	}
	err := l.call(ctx, wire.PUT, dots.CodeChanged, func(ctx context.Context) error { return l.mitigator.Start(ctx, leg) })
	var refusal *dots.Error
	l.locked(func(now time.Time) {
		switch {
		case err == nil:
			l.stands.started(now, leg)
		case errors.As(err, &refusal):
			l.stands.refused(leg.Key)
		default:
			l.stands.doubtful(leg.Key)
		}
	})
	return granted(leg, known), err
}

// arm answers a request that is armed. What stands under its key by now is not to stand.
func (l *local) arm(ctx context.Context, leg dots.Leg) (wire.Response, error) {
	var known bool
	l.locked(func(time.Time) { known = l.stands.known[leg.Key] != nil })
	if known {
		if err := l.stop(ctx, leg.Key); err != nil {
			return wire.Response{}, err
		}
		l.locked(func(time.Time) { delete(l.stands.known, leg.Key) })
	}
	return granted(leg, known), nil
}

// granted is the answer to a leg that was taken: what it asked for.
func granted(leg dots.Leg, known bool) wire.Response {
	resp := wire.Response{Code: dots.CodeCreated}
	if known {
		resp.Code = dots.CodeChanged
	}
	resp.Granted = dots.Some(wire.Granted{MID: leg.Key.MID, Lifetime: leg.Request.Lifetime.Or(dots.DefaultLifetime)})
	return resp
}

// stop ends a leg.
func (l *local) stop(ctx context.Context, k dots.LegKey) error {
	return l.call(ctx, wire.DELETE, dots.CodeDeleted, func(ctx context.Context) error { return l.mitigator.Stop(ctx, k) })
}

// list asks how everything under a cuid fares.
func (l *local) list(ctx context.Context, cuid string) (wire.Response, error) {
	var keys []dots.LegKey
	l.locked(func(time.Time) {
		if list := l.plan.lists[cuid]; list != nil {
			for _, mid := range slices.Sorted(maps.Keys(list.legs)) {
				if k := list.legs[mid].want.Key; l.inForce(k) {
					keys = append(keys, k)
				}
			}
		}
	})
	for len(keys) > 0 {
		n := min(len(keys), statusBatch)
		if err := l.ask(ctx, keys[:n]); err != nil {
			return wire.Response{}, err
		}
		keys = keys[n:]
	}
	resp := wire.Response{Code: dots.CodeContent}
	l.locked(func(now time.Time) { resp.Reports = l.reports(now, cuid) })
	if len(resp.Reports) == 0 {
		resp.Code = dots.CodeNotFound
	}
	return resp, nil
}

// inForce reports whether a mitigator has something to tell of a key. mu is held.
func (l *local) inForce(k dots.LegKey) bool {
	t := l.stands.known[k]
	return t != nil && !t.over && t.revision != 0
}

// ask asks how some legs fare, and notes what is told.
func (l *local) ask(ctx context.Context, keys []dots.LegKey) error {
	var told []LegReport
	err := l.call(ctx, wire.GET, dots.CodeContent, func(ctx context.Context) (err error) {
		told, err = l.mitigator.Status(ctx, keys)
		return err
	})
	if err != nil {
		return err
	}
	if len(told) > 0 {
		l.tells, l.fails = true, 0
	}
	l.locked(func(time.Time) {
		for _, r := range told {
			l.stands.heard(r.Key, r.Report)
		}
	})
	return nil
}

// found is what is known of a job's leg.
func (l *local) found(j job) wire.Response {
	resp := wire.Response{Code: dots.CodeNotFound}
	l.locked(func(now time.Time) {
		want := j.leg
		if e := l.plan.entries[j.leg.Key]; e != nil {
			want = e.want
		}
		if r, ok := l.report(now, want); ok {
			resp = wire.Response{Code: dots.CodeContent, Reports: []dots.Report{r}}
		}
	})
	return resp
}

// call makes one call of the mitigator within the time limit, and counts it with the code that its success has.
func (l *local) call(ctx context.Context, m wire.Method, success dots.Code, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	err := f(ctx)
	code := success
	var refusal *dots.Error
	switch {
	case errors.As(err, &refusal):
		code = refusal.Code
	case err != nil:
		code = dots.CodeSilent
	}
	l.cfg.Meter.Request(l.name, m, code)
	if code != dots.CodeSilent {
		l.locked(func(now time.Time) { l.answered = now })
	}
	return err
}
