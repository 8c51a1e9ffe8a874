package front

import (
	"net"
	"net/netip"
	"time"

	"github.com/pion/dtls/v3"

	"github.com/dotsgate/dotsgate/internal/pressure"
	"github.com/dotsgate/dotsgate/internal/udp"
)

// Sender is a queue of the network, as *udp.Queue is one: what is sent on it may leave in one batch.
type Sender interface {
	// Send copies b, never blocks, and may be called from anywhere.
	Send(b []byte, to udp.Path)
}

// Network is where datagrams come from, as Sockets makes one of *udp.Sockets.
type Network interface {
	// Run calls handle for each datagram, from several goroutines, until Close. b is valid during the call and may be changed.
	Run(handle func(via Sender, b []byte, from udp.Path))
	// Stop ends Run and waits for it. What is sent afterwards leaves by Close at the latest.
	Stop()
	// Sender is a queue for a peer from which nothing has come yet.
	Sender(to udp.Path) Sender
	// Addr is our address, a *net.UDPAddr.
	Addr() net.Addr
	// Close ends Run and waits for it.
	Close() error
}

// Sockets is the network of the system.
func Sockets(s *udp.Sockets) Network { return sockets{s} }

type sockets struct{ *udp.Sockets }

func (s sockets) Run(handle func(via Sender, b []byte, from udp.Path)) {
	s.Sockets.Run(func(q *udp.Queue, b []byte, from udp.Path) { handle(q, b, from) })
}

// Sender spreads peers over the queues of established traffic.
func (s sockets) Sender(to udp.Path) Sender {
	queues := s.Queues()
	if len(queues) == 1 {
		return queues[0]
	}
	return queues[1+int(to.Peer.Port())%(len(queues)-1)]
}

// RecordPath says who seals and opens the records of established sessions.
type RecordPath int

// The record paths.
const (
	// Own takes a session over from the library with the first record that the client has protected after its Finished, where
	// the cipher suite is one of AES-GCM. It keeps no goroutine for a session.
	Own RecordPath = iota
	// Pion leaves sessions with the library: five goroutines for each.
	Pion
)

// Defaults of Config.
const (
	DefaultMaxPending   = 4096
	DefaultMaxPerPrefix = 256
	DefaultRate         = 100.0
	DefaultBurst        = 1000
)

// Config says how a front works.
type Config struct {
	// Network is required; the front closes it.
	Network Network
	// Secret makes the cookies. Nodes that share an address share it, so that each takes the others' cookies, and so do its
	// restarts. At least 16 bytes; nil: a random one.
	Secret []byte
	// Options are the options of a handshake, for the self-test: without a connection ID generator, which the front brings itself.
	// Required.
	Options func() []dtls.ServerOption
	// MaxPending bounds the handshakes under way; the newest takes the place of the oldest. 0: DefaultMaxPending.
	MaxPending int
	// MaxPerPrefix bounds those of one IPv4 address or IPv6 /56; this machine's own are not counted. 0: DefaultMaxPerPrefix.
	MaxPerPrefix int
	// Rate and Burst bound how many handshakes one IPv4 address or IPv6 /56 begins, in handshakes a second and at once. 0:
	// DefaultRate and DefaultBurst.
	Rate  float64
	Burst int
	// RecordPath is Own or Pion.
	RecordPath RecordPath
	// Pressure says when new handshakes are to be refused. Optional.
	Pressure *pressure.Gauge
	// Counters may be shared. Optional.
	Counters *Counters
	// Moved is called when the peer of an established session with a connection ID has turned up at another address. Until
	// Confirm is called with that address, at most three times as many bytes are sent to it as came from it: so ask the peer
	// something, and confirm when it answers. It must not block, nor call c but for Owner. Optional.
	Moved func(c *Conn, to netip.AddrPort)
	// Alarm is told what an operator must know: that the hand-over to the library does not work, and so the weaker gate is
	// used; or that sessions cannot be taken over from it, and stay with it. It must not block. Optional.
	Alarm func(error)

	// now is the clock of the cookies; nil: time.Now.
	now func() time.Time
}
