package metrics

import "github.com/prometheus/client_golang/prometheus"

// CoAPCounters are the counters of all sessions of one side since the start. None ever falls.
type CoAPCounters struct {
	DatagramsIn       uint64 // datagrams received; over TCP, messages
	DatagramsOut      uint64 // datagrams sent; over TCP, messages
	Malformed         uint64 // messages dropped for their form
	Duplicates        uint64 // requests seen before
	Forgotten         uint64 // messages forgotten before their time: a duplicate would be acted on again
	Retransmissions   uint64 // confirmable messages sent again
	UnknownCritical   uint64 // messages refused for an unknown critical option
	ResetsIn          uint64 // Reset messages received
	ResetsOut         uint64 // Reset messages sent
	Timeouts          uint64 // confirmable messages never acknowledged
	Unexpected        uint64 // responses that belong to no request
	Refused           uint64 // requests refused because a table of the session was full
	WriteErrors       uint64 // messages the transport did not take
	Aborts            uint64 // TCP sessions ended by us for a protocol error
	Handshakes        uint64 // handshakes completed
	HandshakeFailures uint64 // handshakes failed or timed out
	SessionsRefused   uint64 // sessions refused because there were as many as may be
	SourcesRefused    uint64 // connections refused because one source came too often or held too many
	Recovered         uint64 // messages whose handling panicked
}

// coapCollector turns CoAPCounters into metrics when it is scraped.
type coapCollector struct {
	read  func(Side) CoAPCounters // nil: there are none
	descs map[string]*prometheus.Desc
}

func newCoAPCollector(read func(Side) CoAPCounters) *coapCollector {
	defs := transportDefinitions()
	c := &coapCollector{read: read, descs: make(map[string]*prometheus.Desc, len(defs))}
	for _, d := range defs {
		c.descs[d.name] = prometheus.NewDesc(d.name, d.help, d.labels, nil)
	}
	return c
}

// Describe sends the descriptors of the metrics.
func (c *coapCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		out <- d
	}
}

// Collect reads the counters of both sides and sends them.
func (c *coapCollector) Collect(out chan<- prometheus.Metric) {
	if c.read == nil {
		return
	}
	for side := range sides {
		n := c.read(side)
		c.send(out, NameDatagrams, n.DatagramsIn, side.String(), directionIn)
		c.send(out, NameDatagrams, n.DatagramsOut, side.String(), directionOut)
		c.send(out, NameMalformed, n.Malformed, side.String())
		c.send(out, NameDuplicates, n.Duplicates, side.String())
		c.send(out, NameForgotten, n.Forgotten, side.String())
		c.send(out, NameRetransmissions, n.Retransmissions, side.String())
		c.send(out, NameUnknownOptions, n.UnknownCritical, side.String())
		c.send(out, NameResets, n.ResetsIn, side.String(), directionIn)
		c.send(out, NameResets, n.ResetsOut, side.String(), directionOut)
		c.send(out, NameTimeouts, n.Timeouts, side.String())
		c.send(out, NameUnexpected, n.Unexpected, side.String())
		c.send(out, NameTablesFull, n.Refused, side.String())
		c.send(out, NameWriteErrors, n.WriteErrors, side.String())
		c.send(out, NameAborts, n.Aborts, side.String())
		c.send(out, NameHandshakes, n.Handshakes, side.String())
		c.send(out, NameHandshakeFailures, n.HandshakeFailures, side.String())
		c.send(out, NameSessionsRefused, n.SessionsRefused, side.String())
		c.send(out, NameSourcesRefused, n.SourcesRefused, side.String())
		c.send(out, NameRecovered, n.Recovered, side.String())
	}
}

func (c *coapCollector) send(out chan<- prometheus.Metric, name string, n uint64, labels ...string) {
	out <- prometheus.MustNewConstMetric(c.descs[name], prometheus.CounterValue, float64(n), labels...)
}
