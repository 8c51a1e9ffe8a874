package metrics

import "github.com/prometheus/client_golang/prometheus"

// index returns the definitions by name.
func index() map[string]definition {
	defs := definitions()
	byName := make(map[string]definition, len(defs))
	for _, d := range defs {
		byName[d.name] = d
	}
	return byName
}

func (m *Metrics) gaugeVec(d definition) *prometheus.GaugeVec {
	v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: d.name, Help: d.help}, d.labels)
	m.registry.MustRegister(v)
	return v
}

func (m *Metrics) counterVec(d definition) *prometheus.CounterVec {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: d.name, Help: d.help}, d.labels)
	m.registry.MustRegister(v)
	return v
}

func (m *Metrics) histogram(d definition, buckets []float64) prometheus.Histogram {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: d.name, Help: d.help, Buckets: buckets})
	m.registry.MustRegister(h)
	return h
}
