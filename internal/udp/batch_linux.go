package udp

import (
	"net"

	"golang.org/x/sys/unix"
)

// stride is from one datagram's place to the next one's: not a power of two, so that their beginnings do not share the same few lines of
// the cache.
const stride = MaxDatagram + 3*64

// inbound reads batches. It belongs to one goroutine.
type inbound struct {
	calls    *calls
	local    bool // the system tells where each was sent to
	messages []message
	vectors  []unix.Iovec
	peers    []sockaddr
	memory   []byte
	control  []byte
	space    int // of one datagram in control
	used     int // messages that the last batch has written to
}

func newInbound(c *net.UDPConn, local bool) *inbound {
	in := newInboundRoom(batchSize, local)
	in.calls = newCalls(c)
	return in
}

// newInboundRoom makes the room for batches of n datagrams.
func newInboundRoom(n int, local bool) *inbound {
	in := &inbound{
		local: local, messages: make([]message, n), vectors: make([]unix.Iovec, n), peers: make([]sockaddr, n), memory: make([]byte, n*stride), used: n,
	}
	if local {
		in.space = controlRoom()
		in.control = make([]byte, n*in.space)
	}
	for i := range in.messages {
		in.vectors[i].Base = &in.memory[i*stride]
		in.vectors[i].SetLen(MaxDatagram)
		h := &in.messages[i].header
		h.Name, h.Iov = &in.peers[i][0], &in.vectors[i]
		h.SetIovlen(1)
		if local {
			h.Control = &in.control[i*in.space]
		}
	}
	return in
}

// read waits for datagrams and returns how many there are.
func (in *inbound) read() (int, error) {
	in.prepare()
	n, err := in.calls.read(in.messages)
	in.used = n
	return n, err
}

// prepare makes the room ready for a batch: the system has written what there was.
func (in *inbound) prepare() {
	for i := range in.messages[:in.used] {
		h := &in.messages[i].header
		h.Namelen = unix.SizeofSockaddrInet6
		h.SetControllen(in.space)
	}
}

// datagram is the n-th of the last batch. ok is false for one that was cut off, or has no sender.
func (in *inbound) datagram(n int) (b []byte, from Path, ok bool) {
	m := &in.messages[n]
	if m.header.Namelen > 0 {
		from.Peer = in.peers[n].peer()
	}
	if in.local {
		oob := in.control[n*in.space:]
		from.Local = localIn(oob[:min(int(m.header.Controllen), in.space)])
	}
	b = in.memory[n*stride : n*stride+int(m.length) : n*stride+MaxDatagram]
	return b, from, m.header.Flags&unix.MSG_TRUNC == 0 && from.Peer.IsValid()
}

// outbound writes batches. It belongs to whoever is the flusher.
type outbound struct {
	calls    *calls
	v6       bool
	messages []message
	vectors  []unix.Iovec
	peers    []sockaddr
	sources  []source
}

func newOutbound(c *net.UDPConn, v6 bool) *outbound {
	out := &outbound{
		calls: newCalls(c), v6: v6, messages: make([]message, batchSize), vectors: make([]unix.Iovec, batchSize),
		peers: make([]sockaddr, batchSize), sources: make([]source, batchSize),
	}
	for i := range out.messages {
		h := &out.messages[i].header
		h.Name, h.Iov = &out.peers[i][0], &out.vectors[i]
		h.SetIovlen(1)
		out.sources[i] = newSource(v6)
	}
	return out
}

// write sends a bundle in batches. It returns how many datagrams the system took and how many it refused.
func (out *outbound) write(b *bundle) (sent, failed int) {
	for rest := b.letters; len(rest) > 0; {
		n := min(len(rest), batchSize)
		for i, l := range rest[:n] {
			out.set(i, b.arena[l.from:l.to], l.path)
		}
		s, f := out.batch(n)
		sent, failed, rest = sent+s, failed+f, rest[n:]
		for i := range n {
			out.vectors[i].Base = nil // the memory is the outbox's
		}
	}
	return sent, failed
}

// set makes the i-th message of a batch.
func (out *outbound) set(i int, b []byte, to Path) {
	out.vectors[i].Base = first(b)
	out.vectors[i].SetLen(len(b))
	h := &out.messages[i].header
	h.Namelen = uint32(out.peers[i].set(to.Peer, out.v6))
	oob := out.sources[i].from(to.Local)
	h.Control = first(oob)
	h.SetControllen(len(oob))
}

// batch sends the first n messages. One that the system refuses is left out: the others are not its peer's.
func (out *outbound) batch(n int) (sent, failed int) {
	for at := 0; at < n; {
		k, err := out.calls.write(out.messages[at:n])
		sent += k
		at += k
		if err != nil || k <= 0 {
			failed++
			at++
		}
	}
	return sent, failed
}

// first is where the bytes begin; nil: there are none.
func first(b []byte) *byte {
	if len(b) == 0 {
		return nil
	}
	return &b[0]
}
