package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// AAADecision is what the AAA server said of a request.
type AAADecision uint8

// The decisions.
const (
	AAAAllowed AAADecision = iota
	AAADenied
	AAAFailed // there was no answer, nor one from before that counts
	aaaDecisions
)

// String returns the label's value.
func (d AAADecision) String() string { return pick(int(d), "allow", "deny", "failed") }

// aaaSources are where decisions come from.
func aaaSources() []string { return []string{"server", "cache", "stale", "nobody", labelOther} }

// aaaFaults are why answers are not accepted.
func aaaFaults() []string {
	return []string{"garbage", "unexpected", "authenticator", "unauthenticated", "unusable_status", "unusable_content", labelOther}
}

// routes are the metrics of who may ask for what, and where it goes.
type routes struct {
	drained   *prometheus.GaugeVec
	blind     *prometheus.GaugeVec
	shared    *prometheus.GaugeVec
	rtt       *prometheus.GaugeVec
	recursed  prometheus.Gauge
	redirects *prometheus.CounterVec

	rateRefusals prometheus.Counter
	decisions    *prometheus.CounterVec
	seconds      prometheus.Histogram
	silences     prometheus.Counter
	dropped      *prometheus.CounterVec
	reloads      *prometheus.CounterVec
}

func (m *Metrics) makeRoutes() {
	def := index()
	m.routes = routes{
		drained: m.gaugeVec(def[NameUplinkDrained]), blind: m.gaugeVec(def[NameBlindCUIDs]), shared: m.gaugeVec(def[NameLegsShared]),
		rtt:          m.gaugeVec(def[NameUplinkRTT]),
		redirects:    m.counterVec(def[NameRedirects]),
		recursed:     m.gaugeVec(def[NameRecursed]).WithLabelValues(),
		rateRefusals: m.counterVec(def[NameRateRefusals]).WithLabelValues(),
		decisions:    m.counterVec(def[NameAAADecisions]),
		seconds:      m.histogram(def[NameAAASeconds], prometheus.ExponentialBuckets(millisecond, commitBucketGrowth, aaaBuckets)),
		silences:     m.counterVec(def[NameAAASilences]).WithLabelValues(),
		dropped:      m.counterVec(def[NameAAADropped]),
		reloads:      m.counterVec(def[NameReloads]),
	}
}

// fill makes the series of the closed label sets.
func (r *routes) fill() {
	for _, source := range aaaSources() {
		for d := range aaaDecisions {
			r.decisions.WithLabelValues(source, d.String())
		}
	}
	for _, fault := range aaaFaults() {
		r.dropped.WithLabelValues(fault)
	}
	for _, outcome := range []string{reloadDone, reloadFailed} {
		r.reloads.WithLabelValues(outcome)
	}
}

// uplink makes the series of an uplink; an old one keeps its values.
func (r *routes) uplink(name string) {
	for _, g := range []*prometheus.GaugeVec{r.drained, r.blind, r.shared, r.rtt} {
		g.WithLabelValues(name)
	}
	r.redirects.WithLabelValues(name, followedLabel(true))
	r.redirects.WithLabelValues(name, followedLabel(false))
}

// drop ends the series of an uplink.
func (r *routes) drop(name string) {
	for _, g := range []*prometheus.GaugeVec{r.drained, r.blind, r.shared, r.rtt} {
		g.DeleteLabelValues(name)
	}
	r.redirects.DeletePartialMatch(prometheus.Labels{labelUplink: name})
}

// Routes is the state of where mitigations go. An uplink that is not in a map has none.
type Routes struct {
	Drained map[string]bool // by uplink: it drains
	Blind   map[string]int  // by uplink: cuids whose list cannot be had
	Shared  map[string]int  // by uplink: legs that stand for several mitigations
	// RTT is by uplink the smoothed round-trip time of its session, where it is known.
	RTT      map[string]time.Duration
	Recursed int // mitigations that went on to the uplinks
}

// SetRoutes states where mitigations go.
func (m *Metrics) SetRoutes(s Routes) {
	for name := range *m.uplinks.Load() {
		drained := 0.0
		if s.Drained[name] {
			drained = 1
		}
		m.routes.drained.WithLabelValues(name).Set(drained)
		m.routes.rtt.WithLabelValues(name).Set(s.RTT[name].Seconds())
		m.routes.blind.WithLabelValues(name).Set(float64(s.Blind[name]))
		m.routes.shared.WithLabelValues(name).Set(float64(s.Shared[name]))
	}
	m.routes.recursed.Set(float64(s.Recursed))
}

// Redirected counts a redirect of an uplink to another server; an unknown uplink is "other".
func (m *Metrics) Redirected(uplink string, followed bool) {
	m.routes.redirects.WithLabelValues(m.uplink(uplink), followedLabel(followed)).Inc()
}

func followedLabel(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}

// RateRefused counts requests that were refused because their clients ask too often.
func (m *Metrics) RateRefused(n uint64) { m.routes.rateRefusals.Add(float64(n)) }

// AAADecided counts a decision on a request: source is "server", "cache", "stale" or "nobody"; anything else is "other".
func (m *Metrics) AAADecided(source string, d AAADecision) {
	m.routes.decisions.WithLabelValues(among(source, aaaSources()), d.String()).Inc()
}

// AAAAsked counts a question to the AAA server that has ended, with an answer or without.
func (m *Metrics) AAAAsked(took time.Duration, answered bool) {
	if !answered {
		m.routes.silences.Inc()
		return
	}
	m.routes.seconds.Observe(took.Seconds())
}

// AAADropped counts an answer that was not accepted; an unknown fault is "other".
func (m *Metrics) AAADropped(fault string) {
	m.routes.dropped.WithLabelValues(among(fault, aaaFaults())).Inc()
}

// Outcomes of a reload.
const (
	reloadDone   = "done"
	reloadFailed = "failed"
)

// Reloaded counts a reload of the configuration, or that one was refused.
func (m *Metrics) Reloaded(err error) {
	if err != nil {
		m.routes.reloads.WithLabelValues(reloadFailed).Inc()
		return
	}
	m.routes.reloads.WithLabelValues(reloadDone).Inc()
}
