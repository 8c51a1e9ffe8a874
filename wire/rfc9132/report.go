package rfc9132

import (
	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

// The answer to a GET of mitigations and its notifications (RFC 9132, Section 4.4.2), 2.05 with
// {1: {2: [{5 mid, 6..13 target, 14 lifetime, 15 start, 16 status, 17 conflict, 25..28 counters, ...}, ...]}}.

// smallestReport is the encoded length of the shortest report that is accepted: mid, lifetime and status.
const smallestReport = 7

// readReports reads a list of reports, in the server's order.
func readReports(r *reader, filter wire.Filter) (list []dots.Report, err error) {
	err = r.scopes(wire.MaxArray, func(n int) {
		list = make([]dots.Report, 0, r.room(n, smallestReport))
	}, func() error {
		report, err := r.report(filter)
		if err == nil {
			list = append(list, report)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// report reads one report. RFC 9132, Section 4.4.2: mid, lifetime and status are mandatory; a filter may have taken one of the latter.
func (r *reader) report(filter wire.Filter) (report dots.Report, err error) {
	var mid dots.Maybe[uint32]
	var lifetime dots.Maybe[dots.Lifetime]
	err = r.entries(keyScope, func(key uint64) (err error) {
		switch key {
		case keyMID:
			mid, err = r.mid()
		case keyLifetime:
			err = r.lifetime(&lifetime)
		default:
			err = r.reportField(key, &report)
		}
		return err
	})
	switch {
	case err != nil:
		return dots.Report{}, err
	case !mid.Set:
		return dots.Report{}, bad(keyMID, "missing")
	case !lifetime.Set && filter != wire.FilterNonConfig:
		return dots.Report{}, bad(keyLifetime, "missing")
	case report.Status == 0 && filter != wire.FilterConfig:
		return dots.Report{}, bad(keyStatus, "missing")
	}
	report.MID, report.Lifetime = mid.Value, lifetime.Value
	sortOptional(report.Optional)
	return report, nil
}

func (r *reader) reportField(key uint64, report *dots.Report) error {
	if done, err := r.target(key, &report.Target); done {
		return err
	}
	if done, err := r.source(key, &report.Source); done {
		return err
	}
	if done, err := r.counters(key, &report.Counters); done {
		return err
	}
	switch key {
	case keyMitigationStart:
		return r.start(&report.Start)
	case keyStatus:
		v, err := r.enum(key, uint64(dots.StatusSignalLossArmed))
		report.Status = dots.Status(v)
		return err
	case keyConflict:
		return r.conflict(&report.Conflict)
	case keyTriggerMitigation:
		trigger, err := r.bool(key)
		report.OnSignalLoss = err == nil && !trigger
		return err
	case keyControlACLList:
		return r.acls(&report.ACLs)
	}
	return r.keep(key, &report.Optional)
}

// start reads mitigation-start. RFC 9132, Section 4.4.2: without tag 1; one is passed over.
func (r *reader) start(into *dots.Maybe[uint64]) error {
	if tag, ok := r.Tag(); ok && tag != tagEpoch {
		return bad(keyMitigationStart, "unexpected tag")
	}
	return r.counter(keyMitigationStart, into)
}

// tagEpoch marks seconds since the Unix epoch (RFC 8949, Section 3.4.2).
const tagEpoch = 1

// counters reads one of the counters; done is false where key is none of them.
func (r *reader) counters(key uint64, c *dots.Counters) (done bool, err error) {
	switch key {
	case keyBytesDropped:
		return true, r.counter(key, &c.BytesDropped)
	case keyBPSDropped:
		return true, r.counter(key, &c.BytesPerSecond)
	case keyPktsDropped:
		return true, r.counter(key, &c.PktsDropped)
	case keyPPSDropped:
		return true, r.counter(key, &c.PktsPerSecond)
	}
	return false, nil
}

func writeReports(w *wire.Writer, list []dots.Report, filter wire.Filter) error {
	beginScope(w)
	for _, report := range list {
		if err := checkOptional(report.Optional); err != nil {
			return err
		}
		w.Element()
		writeReport(w, report, filter)
	}
	endScope(w)
	return nil
}

// writeReport writes one report. RFC 9132, Section 4.4.2: c=c asks for what is configuration, c=n for the rest;
// the mid is in both, being the list's key, and so is the lifetime, which is what was asked and what remains in one.
func writeReport(w *wire.Writer, report dots.Report, filter wire.Filter) {
	config, state := filter != wire.FilterNonConfig, filter != wire.FilterConfig
	w.BeginMap()
	w.Key(keyMID)
	w.Uint(uint64(report.MID))
	if config {
		writeTarget(w, report.Target)
	}
	w.Key(keyLifetime)
	w.Int(int64(report.Lifetime))
	if state {
		writeState(w, report)
	}
	if config {
		writeTrigger(w, report.OnSignalLoss)
		writeACLs(w, report.ACLs)
	}
	source, optional := report.Source, report.Optional
	if !config {
		source = dots.Source{}
	}
	if !state {
		optional = nil
	}
	writeExtensions(w, source, optional)
	w.EndMap()
}

// writeState writes the keys 15 to 28.
func writeState(w *wire.Writer, report dots.Report) {
	// RFC 9132, Section 4.4.2: mitigation-start is not told while the request is armed.
	if report.Start.Set && report.Status != dots.StatusSignalLossArmed {
		w.Key(keyMitigationStart)
		w.Uint(report.Start.Value)
	}
	if report.Status != 0 {
		w.Key(keyStatus)
		w.Uint(uint64(report.Status))
	}
	if report.Conflict.Set {
		writeConflict(w, report.Conflict.Value)
	}
	writeCounter(w, keyBytesDropped, report.Counters.BytesDropped)
	writeCounter(w, keyBPSDropped, report.Counters.BytesPerSecond)
	writeCounter(w, keyPktsDropped, report.Counters.PktsDropped)
	writeCounter(w, keyPPSDropped, report.Counters.PktsPerSecond)
}

func writeCounter(w *wire.Writer, key uint64, v dots.Maybe[uint64]) {
	if v.Set {
		w.Key(key)
		w.Uint(v.Value)
	}
}
