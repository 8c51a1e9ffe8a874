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
	// CoAP returns the counters of one side's sessions, closed ones included, so that they never fall. It is called
	// on every scrape, possibly concurrently, and must not block. Optional; nil shows none.
	CoAP func(Side) CoAPCounters
}

// Metrics counts what the gateway does, in a registry of its own, so that two gateways in one process do not meet.
// All methods are safe for concurrent use and do not block.
type Metrics struct {
	registry *prometheus.Registry
	uplinks  atomic.Pointer[map[string]bool] // the names that may be labels

	sessions    *prometheus.GaugeVec
	requests    *prometheus.CounterVec
	mitigations *prometheus.GaugeVec
	legs        *prometheus.GaugeVec
	uplinkUp    *prometheus.GaugeVec
	missed      *prometheus.CounterVec

	commitSeconds   prometheus.Histogram
	commitRecords   prometheus.Histogram
	commitFailures  prometheus.Counter
	mailboxDepth    prometheus.Gauge
	mailboxCapacity prometheus.Gauge
	mailboxRefusals *prometheus.CounterVec
	resolutions     *prometheus.CounterVec
}

// New returns metrics at zero: every series of a closed label set exists from the start, so that a rate over it is
// right from the first event.
func New(cfg Config) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry()}
	m.makeState(cfg)
	m.makeWork()
	m.registry.MustRegister(newCoAPCollector(cfg.CoAP), collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.fill()
	m.SetUplinks(cfg.Uplinks)
	return m
}

func (m *Metrics) makeState(cfg Config) {
	def := index()
	m.sessions = m.gaugeVec(def[NameSessions])
	m.requests = m.counterVec(def[NameRequests])
	m.mitigations = m.gaugeVec(def[NameMitigations])
	m.legs = m.gaugeVec(def[NameLegs])
	m.uplinkUp = m.gaugeVec(def[NameUplinkUp])
	m.missed = m.counterVec(def[NameHeartbeatsMissed])
	m.gaugeVec(def[NameBuildInfo]).
		WithLabelValues(orUnknown(cfg.Version), orUnknown(cfg.Revision), runtime.Version()).Set(1)
}

func (m *Metrics) makeWork() {
	def := index()
	m.commitSeconds = m.histogram(def[NameCommitSeconds],
		prometheus.ExponentialBuckets(commitBucketsFrom, commitBucketGrowth, commitBuckets))
	m.commitRecords = m.histogram(def[NameCommitRecords],
		prometheus.ExponentialBuckets(commitRecordBucketFrom, commitBucketGrowth, commitRecordBuckets))
	m.commitFailures = m.counterVec(def[NameCommitFailures]).WithLabelValues()
	m.mailboxDepth = m.gaugeVec(def[NameMailboxDepth]).WithLabelValues()
	m.mailboxCapacity = m.gaugeVec(def[NameMailboxCapacity]).WithLabelValues()
	m.mailboxRefusals = m.counterVec(def[NameMailboxRefusals])
	m.resolutions = m.counterVec(def[NameResolutions])
}

// fill makes the series of the closed label sets, except requests, whose set is large and mostly unused.
func (m *Metrics) fill() {
	for s := range sides {
		m.missed.WithLabelValues(s.String())
		for t := range transports {
			m.sessions.WithLabelValues(s.String(), t.String())
		}
	}
	for _, s := range statuses() {
		m.mitigations.WithLabelValues(s.String())
	}
	for r := range refusals {
		m.mailboxRefusals.WithLabelValues(r.String())
	}
	for r := range resolutions {
		m.resolutions.WithLabelValues(r.String())
	}
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
	}
	if old == nil {
		return
	}
	for name := range *old {
		if !known[name] {
			m.uplinkUp.DeleteLabelValues(name)
			m.legs.DeletePartialMatch(prometheus.Labels{labelUplink: name})
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
	m.requests.WithLabelValues(side.String(), method.String(), codeLabel(code)).Inc()
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
	value := 0.0
	if up {
		value = 1
	}
	m.uplinkUp.WithLabelValues(m.uplink(uplink)).Set(value)
}

// HeartbeatMissed counts a heartbeat of ours that was not answered in time.
func (m *Metrics) HeartbeatMissed(side Side) { m.missed.WithLabelValues(side.String()).Inc() }

// Committed counts a batch that became durable: how long the store took and how many records it held.
func (m *Metrics) Committed(took time.Duration, records int) {
	m.commitSeconds.Observe(took.Seconds())
	m.commitRecords.Observe(float64(records))
}

// CommitFailed counts a batch that the store refused.
func (m *Metrics) CommitFailed() { m.commitFailures.Inc() }

// SetMailbox states how many events wait for the core and how many fit.
func (m *Metrics) SetMailbox(depth, capacity int) {
	m.mailboxDepth.Set(float64(depth))
	m.mailboxCapacity.Set(float64(capacity))
}

// MailboxRefused counts an event that found the mailbox full.
func (m *Metrics) MailboxRefused(r Refused) { m.mailboxRefusals.WithLabelValues(r.String()).Inc() }

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
