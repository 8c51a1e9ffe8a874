package draft04

import (
	"math"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

// The answers of class 2 to PUT and GET of mitigations: {1: {2: [{3 id, 4..12, 21 status, 22..25 counters, 30 start}]}}
// (draft-ietf-dots-signal-channel-04, Section 5.3.1 and Section 5.3.3).

// smallestReport is the encoded length of the shortest report that is accepted: id, lifetime and status.
const smallestReport = 7

// readReports reads a list of reports, in the server's order.
func readReports(r *reader, filter wire.Filter) (reports []dots.Report, err error) {
	err = r.scopes(wire.MaxArray, func(n int) {
		reports = make([]dots.Report, 0, r.room(n, smallestReport))
	}, func() error {
		report, err := r.report(filter)
		if err == nil {
			reports = append(reports, report)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return reports, nil
}

func (r *reader) report(filter wire.Filter) (report dots.Report, err error) {
	var mid dots.Maybe[uint32]
	var lifetime dots.Maybe[dots.Lifetime]
	err = r.entries(keyScope, func(key uint64) (err error) {
		switch key {
		case keyMitigationID:
			mid, err = r.id()
		case keyLifetime:
			lifetime, err = r.lifetime()
		default:
			err = r.reportField(key, &report)
		}
		return err
	})
	switch {
	case err != nil:
		return dots.Report{}, err
	case !mid.Set:
		return dots.Report{}, missing(keyMitigationID)
	case !lifetime.Set && filter != wire.FilterNonConfig:
		return dots.Report{}, missing(keyLifetime)
	case report.Status == 0 && filter != wire.FilterConfig:
		return dots.Report{}, missing(keyStatus)
	}
	report.MID, report.Lifetime = mid.Value, lifetime.Value
	return report, nil
}

func (r *reader) reportField(key uint64, report *dots.Report) error {
	if done, err := r.target(key, &report.Target); done {
		return err
	}
	if into := counter(key, &report.Counters); into != nil {
		v, err := r.uint(key, math.MaxUint64)
		*into = dots.Maybe[uint64]{Value: v, Set: err == nil}
		return err
	}
	var err error
	switch key {
	case keyStatus:
		report.Status, err = r.status()
	case keyMitigationStart:
		report.Start, err = r.start()
	default:
		err = r.stray(key)
	}
	return err
}

// status reads a status; the draft knows five.
func (r *reader) status() (dots.Status, error) {
	v, err := r.uint(keyStatus, uint64(dots.StatusClientWithdrawn))
	if err == nil && v == 0 {
		err = bad(keyStatus, "out of range")
	}
	return dots.Status(v), err
}

// start reads mitigation-start, an integer or a float, with or without the tag of an epoch time.
func (r *reader) start() (dots.Maybe[uint64], error) {
	const tagEpoch, limit = 1, 1 << 53
	if tag, ok := r.Tag(); ok && tag != tagEpoch {
		return dots.Maybe[uint64]{}, bad(keyMitigationStart, "unexpected tag")
	}
	if v, ok := r.Uint(); ok && v <= limit {
		return dots.Some(v), nil
	}
	if f, ok := r.Float(); ok && f >= 0 && f <= limit {
		return dots.Some(uint64(f)), nil
	}
	return dots.Maybe[uint64]{}, bad(keyMitigationStart, "not a time")
}

// counter returns the counter under key, or nil.
func counter(key uint64, c *dots.Counters) *dots.Maybe[uint64] {
	switch key {
	case keyBytesDropped:
		return &c.BytesDropped
	case keyBPSDropped:
		return &c.BytesPerSecond
	case keyPktsDropped:
		return &c.PktsDropped
	case keyPPSDropped:
		return &c.PktsPerSecond
	}
	return nil
}

// translate says a report in the states of this dialect; ok is false where it has none.
func translate(report dots.Report) (_ dots.Report, ok bool) {
	switch report.Status {
	case dots.StatusTerminated:
		return report, false
	case dots.StatusWithdrawn:
		report.Status = dots.StatusClientWithdrawn
	case dots.StatusSignalLossArmed:
		report.Status = dots.StatusInProgress
		report.Counters, report.Start = dots.Counters{}, dots.Maybe[uint64]{}
	}
	return report, true
}

// writeReports writes what can be said of the reports, and returns how many that are.
func writeReports(w *wire.Writer, reports []dots.Report, filter wire.Filter) int {
	written := 0
	beginScope(w)
	for _, report := range reports {
		if report, ok := translate(report); ok {
			written++
			w.Element()
			writeReport(w, report, filter)
		}
	}
	endScope(w)
	return written
}

// writeReport writes one report; a filter takes what is configuration, or what is not, as in the other profile.
func writeReport(w *wire.Writer, report dots.Report, filter wire.Filter) {
	config, state := filter != wire.FilterNonConfig, filter != wire.FilterConfig
	w.BeginMap()
	w.Key(keyMitigationID)
	w.Uint(uint64(report.MID))
	if config {
		writeTarget(w, report.Target)
	}
	writeLifetime(w, report.Lifetime)
	if state {
		writeState(w, report)
	}
	if config {
		writePrefixes(w, report.Target.Prefixes)
	}
	w.EndMap()
}

// writeState writes the keys 21 to 30.
func writeState(w *wire.Writer, report dots.Report) {
	if report.Status != 0 {
		w.Key(keyStatus)
		w.Uint(uint64(report.Status))
	}
	for key := uint64(keyBytesDropped); key <= keyPPSDropped; key++ {
		if v := counter(key, &report.Counters); v.Set {
			w.Key(key)
			w.Uint(v.Value)
		}
	}
	if report.Start.Set {
		w.Key(keyMitigationStart)
		w.Float(float64(report.Start.Value))
	}
}

// readGranted reads the answer to a mitigation request, absent where id or lifetime is not told.
func readGranted(r *reader) (g dots.Maybe[wire.Granted], err error) {
	var mid dots.Maybe[uint32]
	var lifetime dots.Maybe[dots.Lifetime]
	err = r.scopes(wire.MaxArray, func(int) {}, func() error {
		return r.entries(keyScope, func(key uint64) (err error) {
			switch key {
			case keyMitigationID:
				mid, err = r.id()
			case keyLifetime:
				lifetime, err = r.lifetime()
			default:
				err = r.stray(key)
			}
			return err
		})
	})
	g = dots.Maybe[wire.Granted]{Value: wire.Granted{MID: mid.Value, Lifetime: lifetime.Value}, Set: mid.Set && lifetime.Set}
	if !g.Set {
		g.Value = wire.Granted{}
	}
	return g, err
}

func writeGranted(w *wire.Writer, g wire.Granted) {
	beginScope(w)
	w.Element()
	w.BeginMap()
	w.Key(keyMitigationID)
	w.Uint(uint64(g.MID))
	writeLifetime(w, g.Lifetime)
	w.EndMap()
	endScope(w)
}
