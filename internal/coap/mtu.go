package coap

// The largest IP packet that a path takes, in bytes.
const (
	// DefaultPathMTU is what every path of IPv6 takes; RFC 9132, Section 7.3 assumes it where nothing is known.
	DefaultPathMTU = 1280
	// LeastPathMTU is what every host of IPv4 takes: RFC 9132, Section 7.3 has it for paths of IPv4 alone of which nothing is known.
	LeastPathMTU = 576
	// MostPathMTU is what Ethernet takes.
	MostPathMTU = 1500
)

// What is around a CoAP message in an IP packet, in bytes.
const (
	packetHeaders = 40 + 8 // IPv6, which has the longer header, and UDP
	// recordHeaders is the most of a DTLS 1.2 record: its header, the explicit nonce and the tag of AES-GCM (AES-CCM has the same, the others
	// less), and of RFC 9146 an identifier of 8 bytes and the inner content type.
	recordHeaders = 13 + 8 + 16 + 8 + 1
	// flightHeaders is what the DTLS library adds to the largest piece of a handshake message: the headers of record and fragment.
	flightHeaders = 13 + 12
)

// DefaultMaxDatagram is the largest CoAP message that goes over UDP unless Limits say otherwise, in bytes: 1186, that of DefaultPathMTU.
const DefaultMaxDatagram = DefaultPathMTU - packetHeaders - recordHeaders

// MaxDatagram is the largest CoAP message whose packet fits a path, in bytes: RFC 9132, Section 7.3. Beyond it blocks begin. 0 is DefaultPathMTU;
// less than LeastPathMTU is taken for it.
func MaxDatagram(pathMTU int) int { return withDefaultMTU(pathMTU) - packetHeaders - recordHeaders }

// flightSize is where the DTLS library is told to cut handshake messages, so that its packets fit.
func flightSize(pathMTU int) int { return withDefaultMTU(pathMTU) - packetHeaders - flightHeaders }

func withDefaultMTU(pathMTU int) int {
	if pathMTU == 0 {
		return DefaultPathMTU
	}
	return max(pathMTU, LeastPathMTU)
}

// onPath returns the limits of sessions over a path; a MaxDatagram that is set stays.
func (l Limits) onPath(pathMTU int) Limits {
	l.MaxDatagram = positive(l.MaxDatagram, MaxDatagram(pathMTU))
	return l
}
