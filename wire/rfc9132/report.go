package rfc9132

import (
	"math"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

// The answer to a GET of mitigations and its notifications (RFC 9132, Section 4.4.2), 2.05 with
// {1: {2: [{5 mid, 6..13 target, 14 lifetime, 15 start, 16 status, 17 conflict, 25..28 counters, ...}, ...]}}.

// readReports reads a list of reports.
func readReports(r *reader, filter wire.Filter) ([]dots.Report, error) {
	keys := wire.ReportKeys{
		MID: keyMID, Lifetime: keyLifetime, Status: keyStatus, MostMID: math.MaxUint32, MostLifetime: math.MaxUint32,
	}
	return r.ReadReports(func(into *dots.Report) error {
		err := r.ReadReport(keys, filter, into, r.reportField)
		sortOptional(into.Optional)
		return err
	})
}

func (r *reader) reportField(key uint64, report *dots.Report) (err error) {
	if done, err := r.target(key, &report.Target); done {
		return err
	}
	if done, err := r.source(key, &report.Source); done {
		return err
	}
	if into := wire.Counter(key, keyBytesDropped, &report.Counters); into != nil {
		return r.ReadCounter(key, into)
	}
	switch key {
	case keyMitigationStart:
		return r.start(&report.Start)
	case keyStatus:
		v, err := r.ReadEnum(key, uint64(dots.StatusSignalLossArmed))
		report.Status = dots.Status(v)
		return err
	case keyConflict:
		return r.conflict(&report.Conflict)
	case keyTriggerMitigation:
		trigger, err := r.ReadBool(key)
		report.OnSignalLoss = err == nil && !trigger
		return err
	case keyControlACLList:
		report.ACLs, err = r.acls()
		return err
	}
	return r.keep(key, &report.Optional)
}

// start reads mitigation-start. RFC 9132, Section 4.4.2: without tag 1; one is passed over.
func (r *reader) start(into *dots.Maybe[uint64]) error {
	if err := r.PassEpoch(keyMitigationStart); err != nil {
		return err
	}
	return r.ReadCounter(keyMitigationStart, into)
}

func writeReports(w *wire.Writer, list []dots.Report, filter wire.Filter) error {
	w.BeginScope()
	for _, report := range list {
		if err := checkOptional(report.Optional); err != nil {
			return err
		}
		w.Element()
		writeReport(w, report, filter)
	}
	w.EndScope()
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
	w.Counters(keyBytesDropped, report.Counters)
}
