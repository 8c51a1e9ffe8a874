package draft04

import (
	"math"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

// The answers of class 2 to PUT and GET of mitigations: {1: {2: [{3 id, 4..12, 21 status, 22..25 counters, 30 start}]}}
// (draft-ietf-dots-signal-channel-04, Section 5.3.1 and Section 5.3.3).

// readReports reads a list of reports.
func readReports(r *reader, filter wire.Filter) ([]dots.Report, error) {
	keys := wire.ReportKeys{MID: keyMitigationID, Lifetime: keyLifetime, Status: keyStatus, MostMID: maxID, MostLifetime: math.MaxInt32}
	return r.ReadReports(func(into *dots.Report) error {
		return r.ReadReport(keys, filter, into, r.reportField)
	})
}

func (r *reader) reportField(key uint64, report *dots.Report) error {
	if done, err := r.target(key, &report.Target); done {
		return err
	}
	if into := wire.Counter(key, keyBytesDropped, &report.Counters); into != nil {
		return r.ReadCounter(key, into)
	}
	var err error
	switch key {
	case keyStatus:
		// The draft knows five states.
		var v uint8
		v, err = r.ReadEnum(key, uint64(dots.StatusClientWithdrawn))
		report.Status = dots.Status(v)
	case keyMitigationStart:
		report.Start, err = r.start()
	default:
		err = r.Stray(key)
	}
	return err
}

// start reads mitigation-start, an integer or a float, with or without the tag of an epoch time.
func (r *reader) start() (dots.Maybe[uint64], error) {
	const limit = 1 << 53
	if err := r.PassEpoch(keyMitigationStart); err != nil {
		return dots.Maybe[uint64]{}, err
	}
	if v, ok := r.Uint(); ok && v <= limit {
		return dots.Some(v), nil
	}
	if f, ok := r.Float(); ok && f >= 0 && f <= limit {
		return dots.Some(uint64(f)), nil
	}
	return dots.Maybe[uint64]{}, r.Bad(keyMitigationStart, "not a time")
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
	w.BeginScope()
	for _, report := range reports {
		if report, ok := translate(report); ok {
			written++
			w.Element()
			writeReport(w, report, filter)
		}
	}
	w.EndScope()
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
	w.Counters(keyBytesDropped, report.Counters)
	if report.Start.Set {
		w.Key(keyMitigationStart)
		w.Float(float64(report.Start.Value))
	}
}

// readGranted reads the answer to a mitigation request, absent where id or lifetime is not told.
func readGranted(r *reader) (g dots.Maybe[wire.Granted], err error) {
	var mid dots.Maybe[uint32]
	var lifetime dots.Maybe[dots.Lifetime]
	err = r.Scopes(wire.MaxArray, func(int) {}, func() error {
		return r.Entries(keyScope, func(key uint64) (err error) {
			switch key {
			case keyMitigationID:
				mid, err = r.id()
			case keyLifetime:
				lifetime, err = r.lifetime()
			default:
				err = r.Stray(key)
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
	w.BeginScope()
	w.Element()
	w.BeginMap()
	w.Key(keyMitigationID)
	w.Uint(uint64(g.MID))
	writeLifetime(w, g.Lifetime)
	w.EndMap()
	w.EndScope()
}
