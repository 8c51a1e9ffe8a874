package metrics

import "github.com/prometheus/client_golang/prometheus"

// Front is what the doors of the listeners have seen since the start, those over UDP where nothing else is said. All but Gated and
// Doors count.
type Front struct {
	Doors                                                            [transports]Door // by Transport
	Gated                                                            bool             // one of them proves addresses in a weaker way than it should
	Hellos, Challenged, Proven, Strangers, Refused, Shed             uint64
	Replaced, Overfed, HandOver, Moves, Withheld, TakenOver, Resumed uint64
	Malformed, Plain, Replayed, Forged                               uint64 // records of established sessions that were dropped
	Received, Sent, LostIn, LostOut                                  uint64 // datagrams
}

// Door is how the bounds on new handshakes stand, over one transport.
type Door struct {
	Handshakes      int // under way
	Starts, Holders Table
}

// Table is how a table of sources stands.
type Table struct {
	Fill, Size int
	Lost       uint64 // since the start: owners that gave way while they were counted, or were refused for want of room
}

// frontCollector turns Front into metrics when it is scraped.
type frontCollector struct {
	read  func() Front // nil: there is none
	descs map[string]*prometheus.Desc
}

func newFrontCollector(read func() Front) *frontCollector {
	c := &frontCollector{read: read, descs: make(map[string]*prometheus.Desc)}
	for _, d := range frontDefinitions() {
		c.descs[d.name] = prometheus.NewDesc(d.name, d.help, d.labels, nil)
	}
	return c
}

// Describe sends the descriptors of the metrics.
func (c *frontCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		out <- d
	}
}

// Collect reads the counters and sends them.
func (c *frontCollector) Collect(out chan<- prometheus.Metric) {
	if c.read == nil {
		return
	}
	f := c.read()
	gated := 0.0
	if f.Gated {
		gated = 1
	}
	out <- prometheus.MustNewConstMetric(c.descs[NameFrontGated], prometheus.GaugeValue, gated)
	for _, s := range []struct {
		name, label string
		n           uint64
	}{
		{NameFrontHellos, "challenged", f.Challenged},
		{NameFrontHellos, "proven", f.Proven},
		{NameFrontHellos, "refused", f.Refused},
		{NameFrontHellos, "shed", f.Shed},
		{NameFrontHellos, "any", f.Hellos},
		{NameFrontHandshakes, "replaced", f.Replaced},
		{NameFrontHandshakes, "overfed", f.Overfed},
		{NameFrontHandshakes, "hand_over", f.HandOver},
		{NameFrontDropped, "stranger", f.Strangers},
		{NameFrontDropped, "malformed", f.Malformed},
		{NameFrontDropped, "plain", f.Plain},
		{NameFrontDropped, "replayed", f.Replayed},
		{NameFrontDropped, "forged", f.Forged},
		{NameFrontDropped, "withheld", f.Withheld},
		{NameFrontSessions, "moved", f.Moves},
		{NameFrontSessions, "taken_over", f.TakenOver},
		{NameFrontSessions, "resumed", f.Resumed},
		{NameUDPDatagrams, directionIn, f.Received},
		{NameUDPDatagrams, directionOut, f.Sent},
		{NameUDPLost, directionIn, f.LostIn},
		{NameUDPLost, directionOut, f.LostOut},
	} {
		out <- prometheus.MustNewConstMetric(c.descs[s.name], prometheus.CounterValue, float64(s.n), s.label)
	}
	for t, d := range f.Doors {
		c.door(out, Transport(t).String(), d)
	}
}

// door sends how the bounds of one transport stand.
func (c *frontCollector) door(out chan<- prometheus.Metric, transport string, d Door) {
	out <- prometheus.MustNewConstMetric(c.descs[NameDoorHandshakes], prometheus.GaugeValue, float64(d.Handshakes), transport)
	for _, t := range []struct {
		label string
		Table
	}{{"starts", d.Starts}, {"holders", d.Holders}} {
		out <- prometheus.MustNewConstMetric(c.descs[NameDoorSources], prometheus.GaugeValue, float64(t.Fill), transport, t.label)
		out <- prometheus.MustNewConstMetric(c.descs[NameDoorRoom], prometheus.GaugeValue, float64(t.Size), transport, t.label)
		out <- prometheus.MustNewConstMetric(c.descs[NameDoorLost], prometheus.CounterValue, float64(t.Lost), transport, t.label)
	}
}

func frontDefinitions() []definition {
	return []definition{
		{NameFrontGated, gauge, nil, "1 while a DTLS listener proves addresses in a weaker way, since the DTLS library is not as expected, else 0."},
		{NameFrontHellos, counter, []string{labelResult}, "Well-formed ClientHellos over UDP (result any), and what became of them."},
		{NameFrontHandshakes, counter, []string{labelTrouble}, "Troubles of DTLS handshakes whose address was proven."},
		{NameFrontDropped, counter, []string{labelReason}, "Datagrams and records dropped at the DTLS listeners without an answer, by reason."},
		{NameFrontSessions, counter, []string{labelEvent}, "DTLS sessions of clients that changed their address, or that were taken over from the DTLS library."},
		{NameUDPDatagrams, counter, []string{labelDirection}, "Datagrams of the DTLS listeners."},
		{NameDoorHandshakes, gauge, []string{labelTransport}, "Handshakes under way at the listeners."},
		{NameDoorSources, gauge, []string{labelTransport, labelTable}, "Sources that are counted at the listeners now."},
		{NameDoorRoom, gauge, []string{labelTransport, labelTable}, "Sources that the tables have room for."},
		{NameDoorLost, counter, []string{labelTransport, labelTable}, "Sources put out of a table for another one, or refused for want of room in it."},
		{NameUDPLost, counter, []string{labelDirection}, "Datagrams lost in this machine: in, the system's buffer was full; out, ours was, or the system refused them."},
	}
}
