package metrics

import (
	"runtime"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/dotsgate/dotsgate/dots"
)

// Config is what New needs. The zero Config is usable: it makes metrics that show no uplink and no CoAP counters.
type Config struct {
	// Version and Revision tell which build runs. Optional; empty is shown as "unknown".
	Version, Revision string
	// Uplinks are the configured names of the uplinks. Optional; a name given to a method that is not among them is
	// counted as "other". See SetUplinks for a change of configuration.
	Uplinks []string
	// MailboxCapacity is how many events the core's mailbox holds. Optional; 0 is shown as 0.
	MailboxCapacity int
	// CoAP returns the counters of one side's sessions, closed ones included, so that they never fall. It is called
	// on every scrape, possibly concurrently, and must not block. Optional; nil shows none.
	CoAP func(Side) CoAPCounters
	// Pressure returns how loaded the process is, as CoAP does. Optional; nil shows nothing.
	Pressure func() Pressure
	// Front returns what the UDP doors have seen, as CoAP does. Optional; nil shows nothing.
	Front func() Front
}

// Metrics counts what the gateway does, in a registry of its own, so that two gateways in one process do not meet.
// All methods are safe for concurrent use and do not block.
type Metrics struct {
	registry *prometheus.Registry
	uplinks  atomic.Pointer[map[string]bool] // the names that may be labels

	sessions    *prometheus.GaugeVec
	disowned    prometheus.Counter
	lost        *prometheus.CounterVec
	observers   prometheus.Gauge
	unobserved  prometheus.Counter
	notified    *prometheus.CounterVec
	requests    requestCounters
	mitigations *prometheus.GaugeVec
	legs        *prometheus.GaugeVec
	uplinkUp    *prometheus.GaugeVec
	suspect     *prometheus.GaugeVec
	oldest      *prometheus.GaugeVec
	missed      *prometheus.CounterVec

	commitSeconds   prometheus.Histogram
	commitBatches   prometheus.Histogram
	commitFailures  prometheus.Counter
	mailboxDepth    prometheus.Gauge
	mailboxRefusals *prometheus.CounterVec
	resolutions     *prometheus.CounterVec

	routes routes
}

// New returns metrics at zero: every series of a closed label set exists from the start, so that a rate over it is
// right from the first event.
func New(cfg Config) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry()}
	m.makeState(cfg)
	m.makeWork(cfg)
	m.makeRoutes()
	m.registry.MustRegister(newCoAPCollector(cfg.CoAP), newPressureCollector(cfg.Pressure), newFrontCollector(cfg.Front),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.fill()
	m.SetUplinks(cfg.Uplinks)
	return m
}

func (m *Metrics) makeState(cfg Config) {
	def := index()
	m.sessions = m.gaugeVec(def[NameSessions])
	m.lost = m.counterVec(def[NameSessionsLost])
	m.observers = m.gaugeVec(def[NameObservers]).WithLabelValues()
	m.disowned = m.counterVec(def[NameSessionsDisowned]).WithLabelValues()
	m.unobserved = m.counterVec(def[NameObserversRefused]).WithLabelValues()
	m.notified = m.counterVec(def[NameNotifications])
	m.requests.vec = m.counterVec(def[NameRequests])
	m.mitigations = m.gaugeVec(def[NameMitigations])
	m.legs = m.gaugeVec(def[NameLegs])
	m.uplinkUp = m.gaugeVec(def[NameUplinkUp])
	m.suspect = m.gaugeVec(def[NameUplinkSuspect])
	m.oldest = m.gaugeVec(def[NameOldestReport])
	m.missed = m.counterVec(def[NameHeartbeatsMissed])
	m.gaugeVec(def[NameBuildInfo]).
		WithLabelValues(orUnknown(cfg.Version), orUnknown(cfg.Revision), runtime.Version()).Set(1)
}

func (m *Metrics) makeWork(cfg Config) {
	def := index()
	m.commitSeconds = m.histogram(def[NameCommitSeconds],
		prometheus.ExponentialBuckets(commitBucketsFrom, commitBucketGrowth, commitBuckets))
	m.commitBatches = m.histogram(def[NameCommitBatches],
		prometheus.ExponentialBuckets(commitBatchBucketsFrom, commitBucketGrowth, commitBatchBuckets))
	m.commitFailures = m.counterVec(def[NameCommitFailures]).WithLabelValues()
	m.mailboxDepth = m.gaugeVec(def[NameMailboxDepth]).WithLabelValues()
	m.gaugeVec(def[NameMailboxCapacity]).WithLabelValues().Set(float64(cfg.MailboxCapacity))
	m.mailboxRefusals = m.counterVec(def[NameMailboxRefusals])
	m.resolutions = m.counterVec(def[NameResolutions])
}

// fill makes the series of the closed label sets, except requests, whose set is large and mostly unused.
func (m *Metrics) fill() {
	for s := range sides {
		m.missed.WithLabelValues(s.String())
		m.lost.WithLabelValues(s.String())
		for t := range transports {
			m.sessions.WithLabelValues(s.String(), t.String())
		}
	}
	for _, s := range statuses() {
		m.mitigations.WithLabelValues(s.String())
	}
	for _, kind := range refusedKinds() {
		m.mailboxRefusals.WithLabelValues(kind)
	}
	for r := range resolutions {
		m.resolutions.WithLabelValues(r.String())
	}
	m.routes.fill()
}

// SetUplinks replaces the names that may be labels, after a change of configuration. The series of a name that is
// gone end; a new name starts as down.
func (m *Metrics) SetUplinks(names []string) {
	known := make(map[string]bool, len(names))
	for _, name := range names {
		known[name] = true
	}
	old := m.uplinks.Swap(&known)
	for _, name := range names {
		m.uplinkUp.WithLabelValues(name) // a new name starts at 0, an old one keeps its value
		m.suspect.WithLabelValues(name)
		m.oldest.WithLabelValues(name)
		m.routes.uplink(name)
	}
	if old == nil {
		return
	}
	for name := range *old {
		if !known[name] {
			m.uplinkUp.DeleteLabelValues(name)
			m.suspect.DeleteLabelValues(name)
			m.oldest.DeleteLabelValues(name)
			m.legs.DeletePartialMatch(prometheus.Labels{labelUplink: name})
			m.routes.drop(name)
		}
	}
}

// SessionOpened counts one more open session.
func (m *Metrics) SessionOpened(side Side, t Transport) {
	m.sessions.WithLabelValues(side.String(), t.String()).Inc()
}

// SessionClosed counts one open session less; it is called once for every SessionOpened.
func (m *Metrics) SessionClosed(side Side, t Transport) {
	m.sessions.WithLabelValues(side.String(), t.String()).Dec()
}

// Request counts a request of a side that has ended with code; dots.CodeSilent is a request that got no answer.
func (m *Metrics) Request(side Side, method Method, code dots.Code) {
	m.requests.of(side, method, code).Inc()
}

// SetMitigations states how many mitigations there are of each status. A status that is not in counts has none.
func (m *Metrics) SetMitigations(counts map[dots.Status]int) {
	for _, s := range statuses() {
		m.mitigations.WithLabelValues(s.String()).Set(float64(counts[s]))
	}
}

// SetLegs states how many legs the uplink has in each state. A state that is not in counts has none.
func (m *Metrics) SetLegs(uplink string, counts map[LegState]int) {
	for s := range legStates {
		m.legs.WithLabelValues(m.uplink(uplink), s.String()).Set(float64(counts[s]))
	}
}

// SetUplinkUp states whether the uplink has a session that is alive.
func (m *Metrics) SetUplinkUp(uplink string, up bool) {
	m.uplinkUp.WithLabelValues(m.uplink(uplink)).Set(truth(up))
}

// SetUplinkSuspect states whether heartbeats go unanswered on the uplink's session.
func (m *Metrics) SetUplinkSuspect(uplink string, suspect bool) {
	m.suspect.WithLabelValues(m.uplink(uplink)).Set(truth(suspect))
}

// truth is 1 for true.
func truth(v bool) float64 {
	if v {
		return 1
	}
	return 0
}

// SetOldestReports states by uplink how old the newest report is of the mitigation that the uplink told of longest ago. Of a
// configured uplink that is not in ages nothing is to be told: 0.
func (m *Metrics) SetOldestReports(ages map[string]time.Duration) {
	for name := range *m.uplinks.Load() {
		m.oldest.WithLabelValues(name).Set(ages[name].Seconds())
	}
}

// HeartbeatMissed counts a heartbeat of ours that was not answered in time.
func (m *Metrics) HeartbeatMissed(side Side) { m.missed.WithLabelValues(side.String()).Inc() }

// SessionLost counts a session that was given up for missed heartbeats; it is also closed.
func (m *Metrics) SessionLost(side Side) { m.lost.WithLabelValues(side.String()).Inc() }

// SessionDisowned counts a client's session that a change of the configuration ended; it is also closed.
func (m *Metrics) SessionDisowned() { m.disowned.Inc() }

// Observers counts observations of clients: 1 for one that began, -1 for one that ended.
func (m *Metrics) Observers(delta int) { m.observers.Add(float64(delta)) }

// ObserverRefused counts an observation that was answered as a plain GET for want of room.
func (m *Metrics) ObserverRefused() { m.unobserved.Inc() }

// Notified counts a notification handed to a client's session.
func (m *Metrics) Notified(code dots.Code) { m.notified.WithLabelValues(codeLabel(code)).Inc() }

// Committed counts a commit of that many batches of the core: how long the store took, or that it refused.
func (m *Metrics) Committed(took time.Duration, batches int, err error) {
	if err != nil {
		m.commitFailures.Inc()
		return
	}
	m.commitSeconds.Observe(took.Seconds())
	m.commitBatches.Observe(float64(batches))
}

// Mailbox states how many events wait for the core.
func (m *Metrics) Mailbox(depth int) { m.mailboxDepth.Set(float64(depth)) }

// Refused counts a call that found the mailbox full: "mitigate", "inspect" or "withdraw"; anything else is "other".
func (m *Metrics) Refused(what string) { m.mailboxRefusals.WithLabelValues(refusedLabel(what)).Inc() }

// NameResolved counts a look-up of a name that has ended.
func (m *Metrics) NameResolved(r Resolution) { m.resolutions.WithLabelValues(r.String()).Inc() }

// uplink returns name if it is configured, else "other".
func (m *Metrics) uplink(name string) string {
	if (*m.uplinks.Load())[name] {
		return name
	}
	return labelOther
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}
