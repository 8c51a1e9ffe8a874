package udp

import (
	"errors"
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
	controls [][]byte // room for the control messages of each
	runs     []int    // datagrams in each message
	segments bool     // the system makes many datagrams of one message
	singly   int      // so many of the next letters go by themselves
}

func newOutbound(c *net.UDPConn, v6, singly bool) *outbound {
	out := &outbound{
		calls: newCalls(c), v6: v6, messages: make([]message, batchSize), vectors: make([]unix.Iovec, batchSize),
		peers: make([]sockaddr, batchSize), sources: make([]source, batchSize),
		controls: make([][]byte, batchSize), runs: make([]int, batchSize), segments: !singly && Segments(c),
	}
	segment := Segment(0)
	for i := range out.messages {
		h := &out.messages[i].header
		h.Name, h.Iov = &out.peers[i][0], &out.vectors[i]
		h.SetIovlen(1)
		out.sources[i] = newSource(v6)
		out.controls[i] = append(make([]byte, 0, len(segment)+controlRoom()), segment...)
	}
	return out
}

// write sends a bundle in batches. It returns how many datagrams the system took and how many it refused.
func (out *outbound) write(b *bundle) (sent, failed int) {
	for rest := b.letters; len(rest) > 0; {
		n, letters := 0, 0
		for ; n < batchSize && letters < len(rest); n++ {
			run := 1
			if out.segments && letters >= out.singly {
				run = alike(rest[letters:])
			}
			out.set(n, b, rest[letters:letters+run])
			letters += run
		}
		s, f, done := out.batch(n)
		sent, failed = sent+s, failed+f
		rest = rest[done:] // all of them, unless the system makes no datagrams of one of the messages
		for i := range n {
			out.vectors[i].Base = nil // the memory is the outbox's
		}
	}
	return sent, failed
}

const (
	// longestRun is how many datagrams go in one message: the system makes 64 of one.
	longestRun = 32
	// longestPart is the longest datagram of those, in bytes: all of a message are less than the 65,507 bytes that the system takes.
	longestPart = 1500
)

// alike is how many of the first letters go to one peer on one path and are of one length, so that the system can make them of one message. Peers ask
// for several things at a time, and are answered so.
func alike(letters []letter) int {
	l, n := letters[0], 1
	length := l.to - l.from
	if length == 0 || length > longestPart {
		return 1
	}
	for n < len(letters) && n < longestRun && letters[n].to-letters[n].from == length && letters[n].path == l.path && letters[n].from == letters[n-1].to {
		n++
	}
	return n
}

// set makes the i-th message of a batch, of a run of letters that are alike.
func (out *outbound) set(i int, b *bundle, run []letter) {
	l := run[0]
	piece := b.arena[l.from:run[len(run)-1].to]
	out.vectors[i].Base = first(piece)
	out.vectors[i].SetLen(len(piece))
	h := &out.messages[i].header
	h.Namelen = uint32(out.peers[i].set(l.path.Peer, out.v6))
	oob := out.sources[i].from(l.path.Local)
	if out.runs[i] = len(run); len(run) > 1 {
		control := out.controls[i]
		SetSegment(control, l.to-l.from)
		oob = append(control, oob...)
	}
	h.Control = first(oob)
	h.SetControllen(len(oob))
}

// batch sends the first n messages, and returns how many datagrams the system took, how many it refused, and how many are done with. One that the system
// refuses is left out: the others are not its peer's. If it is one of many datagrams, these are to be sent by themselves: some ways cannot have them
// together, and some devices and tunnels never do.
func (out *outbound) batch(n int) (sent, failed, done int) {
	out.singly = 0
	for at := 0; at < n; {
		k, err := out.calls.write(out.messages[at:n])
		for _, run := range out.runs[at : at+k] {
			sent += run
		}
		at += k
		if err == nil && k > 0 {
			continue
		}
		if out.runs[at] > 1 {
			out.singly, out.segments = out.runs[at], !errors.Is(err, unix.EIO)
			return sent, failed, sent + failed
		}
		failed++
		at++
	}
	return sent, failed, sent + failed
}

// first is where the bytes begin; nil: there are none.
func first(b []byte) *byte {
	if len(b) == 0 {
		return nil
	}
	return &b[0]
}
