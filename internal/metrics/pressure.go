package metrics

import "github.com/prometheus/client_golang/prometheus"

// Pressure is how loaded the process is, and what was shed for it since the start.
type Pressure struct {
	Level                                int    // 0 is calm; each level sheds one kind more, in the order below
	Strangers, Handshakes, Reads, Orders uint64 // refused or dropped, by kind: orders are requests for new mitigations
}

// pressureCollector turns Pressure into metrics when it is scraped.
type pressureCollector struct {
	read        func() Pressure // nil: there is none
	level, shed *prometheus.Desc
}

func newPressureCollector(read func() Pressure) *pressureCollector {
	c := &pressureCollector{read: read}
	for _, d := range pressureDefinitions() {
		desc := prometheus.NewDesc(d.name, d.help, d.labels, nil)
		if d.name == NamePressure {
			c.level = desc
		} else {
			c.shed = desc
		}
	}
	return c
}

// Describe sends the descriptors of the metrics.
func (c *pressureCollector) Describe(out chan<- *prometheus.Desc) {
	out <- c.level
	out <- c.shed
}

// Collect reads the pressure and sends it.
func (c *pressureCollector) Collect(out chan<- prometheus.Metric) {
	if c.read == nil {
		return
	}
	p := c.read()
	out <- prometheus.MustNewConstMetric(c.level, prometheus.GaugeValue, float64(p.Level))
	for _, s := range []struct {
		kind string
		n    uint64
	}{{"strangers", p.Strangers}, {"handshakes", p.Handshakes}, {"reads", p.Reads}, {"requests", p.Orders}} {
		out <- prometheus.MustNewConstMetric(c.shed, prometheus.CounterValue, float64(s.n), s.kind)
	}
}

func pressureDefinitions() []definition {
	return []definition{
		{NamePressure, gauge, nil, "How loaded the process is: 0 calm; 1 sheds strangers' data, 2 new handshakes as well, 3 GETs, 4 requests for new mitigations."},
		{NameShed, counter, []string{labelKind}, "What was refused or dropped because the process was loaded, by kind."},
	}
}
