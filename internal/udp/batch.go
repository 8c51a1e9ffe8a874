package udp

import (
	"net"
	"net/netip"

	"golang.org/x/net/ipv4"
)

const (
	// MaxDatagram is the longest datagram that is read, in bytes.
	MaxDatagram = 8192
	// batchSize is how many datagrams go in or out in one system call.
	batchSize = 64
)

// inbound reads batches. It belongs to one goroutine.
type inbound struct {
	conn     *ipv4.PacketConn // its batches are the same for both families
	local    bool             // the system tells where each was sent to
	messages []ipv4.Message
}

func newInbound(c *net.UDPConn, local bool) *inbound {
	in := &inbound{conn: ipv4.NewPacketConn(c), local: local, messages: make([]ipv4.Message, batchSize)}
	space := controlRoom()
	if !local {
		space = 0
	}
	memory, control := make([]byte, batchSize*MaxDatagram), make([]byte, batchSize*space)
	for i := range in.messages {
		in.messages[i].Buffers = [][]byte{memory[i*MaxDatagram : (i+1)*MaxDatagram : (i+1)*MaxDatagram]}
		if local {
			in.messages[i].OOB = control[i*space : (i+1)*space : (i+1)*space]
		}
	}
	return in
}

// read waits for datagrams and returns how many there are.
func (in *inbound) read() (int, error) { return in.conn.ReadBatch(in.messages, 0) }

// datagram is the n-th of the last batch. ok is false for one that was cut off, or has no sender.
func (in *inbound) datagram(n int) (b []byte, from Path, ok bool) {
	m := &in.messages[n]
	from.Peer = peerOf(m.Addr)
	if in.local {
		from.Local = localIn(m.OOB[:min(m.NN, len(m.OOB))])
	}
	return m.Buffers[0][:m.N], from, m.Flags&cutFlag == 0 && from.Peer.IsValid()
}

// outbound writes batches. It belongs to whoever is the flusher.
type outbound struct {
	conn     *ipv4.PacketConn
	messages []ipv4.Message
	addrs    []net.UDPAddr
	sources  []source
}

func newOutbound(c *net.UDPConn, v6 bool) *outbound {
	out := &outbound{
		conn: ipv4.NewPacketConn(c), messages: make([]ipv4.Message, batchSize),
		addrs: make([]net.UDPAddr, batchSize), sources: make([]source, batchSize),
	}
	for i := range out.messages {
		out.messages[i].Buffers = make([][]byte, 1)
		out.messages[i].Addr = &out.addrs[i]
		out.sources[i] = newSource(v6)
	}
	return out
}

// write sends a bundle in batches. It returns how many datagrams the system took and how many it refused.
func (out *outbound) write(b *bundle) (sent, failed int) {
	for rest := b.letters; len(rest) > 0; {
		n := min(len(rest), batchSize)
		for i, l := range rest[:n] {
			m := &out.messages[i]
			m.Buffers[0] = b.arena[l.from:l.to]
			setAddr(&out.addrs[i], l.path.Peer)
			m.OOB = out.sources[i].from(l.path.Local)
		}
		s, f := out.batch(n)
		sent, failed, rest = sent+s, failed+f, rest[n:]
	}
	return sent, failed
}

// batch sends the first n messages. One that the system refuses is left out: the others are not its peer's.
func (out *outbound) batch(n int) (sent, failed int) {
	for at := 0; at < n; {
		k, err := out.conn.WriteBatch(out.messages[at:n], 0)
		sent += max(k, 0)
		at += max(k, 0)
		if err != nil || k <= 0 {
			failed++
			at++
		}
	}
	return sent, failed
}

// isIPv6 reports the family of a socket by its address.
func isIPv6(a *net.UDPAddr) bool {
	ip, ok := netip.AddrFromSlice(a.IP)
	return ok && ip.Is6() && !ip.Is4In6()
}
