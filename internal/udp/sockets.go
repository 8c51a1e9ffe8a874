package udp

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
)

// Config says where datagrams are read.
type Config struct {
	// Address is "host:port", required. An empty or unspecified host is every address of this machine; port 0 is any free one.
	Address string
	// Queues is how many queues established traffic is spread over. 0: GOMAXPROCS, at most 16.
	Queues int
	// Plain is one socket for everything, without steering.
	Plain bool
	// Outbox is how many datagrams wait in each queue to be sent before more are lost. 0: 4096.
	Outbox int

	// attach puts the steering program on a socket. nil: the system's; tests let it fail.
	attach func(fd uintptr, queues int) error
}

const (
	maxQueues     = 16
	defaultOutbox = 4096
)

// Path is a peer and the address of ours that it uses: what is sent to a Path leaves from the address that was asked.
// It is comparable.
type Path struct {
	// Peer is the other end. An IPv4 address is never mapped into IPv6.
	Peer netip.AddrPort
	// Local is the address that the peer sent to; the zero Addr where the sockets are bound to one address, or where the
	// system is to choose.
	Local netip.Addr
}

// Handler gets a datagram. b is valid during the call and may be changed by it. It runs on the queue's own goroutine, one
// call at a time for each queue, so it must not block. Which queue a datagram comes by is for speed only: a ClientHello may
// come by any, and so may the rest.
type Handler func(q *Queue, b []byte, from Path)

// Sockets are bound sockets, one for each queue. Its methods are safe for concurrent use.
type Sockets struct {
	queues []*Queue
	addr   *net.UDPAddr

	run    sync.Mutex // held by Run
	mu     sync.Mutex
	closed bool
}

// Listen binds the sockets. Nothing is read before Run.
func Listen(cfg Config) (*Sockets, error) {
	pc, err := net.ListenPacket("udp", cfg.Address)
	if err != nil {
		return nil, fmt.Errorf("binding to %s: %w", cfg.Address, err)
	}
	return fromConns([]*net.UDPConn{pc.(*net.UDPConn)}, cfg)
}

// FromFiles are sockets that another process has bound, as its Files gave them and in their order. Of cfg, only Outbox
// counts. The files stay the caller's.
func FromFiles(files []*os.File, cfg Config) (*Sockets, error) {
	var conns []*net.UDPConn
	for _, f := range files {
		pc, err := net.FilePacketConn(f)
		if err != nil {
			return nil, fmt.Errorf("taking over a socket: %w", err)
		}
		conns = append(conns, pc.(*net.UDPConn))
	}
	return fromConns(conns, cfg)
}

func fromConns(conns []*net.UDPConn, cfg Config) (*Sockets, error) {
	_ = runtime.GOMAXPROCS(0)
	s := &Sockets{addr: conns[0].LocalAddr().(*net.UDPAddr)}
	for _, c := range conns {
		s.queues = append(s.queues, &Queue{conn: c})
	}
	return s, nil
}

// Steered reports whether the kernel keeps ClientHellos apart: queue 0 has them, the others have the rest.
func (s *Sockets) Steered() bool { return len(s.queues) > 1 }

// Addr is the address that the sockets are bound to, a *net.UDPAddr.
func (s *Sockets) Addr() net.Addr { return s.addr }

// Queues are the queues by their number. The slice is not to be changed.
func (s *Sockets) Queues() []*Queue { return s.queues }

// Files are duplicates of the sockets for FromFiles in another process, in the order of the queues; they are the caller's to
// close. What arrives while nobody reads waits in the kernel.
//
// Take the descriptor by SyscallConn: Fd would make the socket blocking for everybody who has it.
func (s *Sockets) Files() ([]*os.File, error) {
	var files []*os.File
	for _, q := range s.queues {
		f, err := q.conn.File()
		if err != nil {
			return nil, fmt.Errorf("duplicating a socket: %w", err)
		}
		files = append(files, f)
	}
	return files, nil
}

// Run reads and hands on datagrams until Stop or Close. Errors of the system are waited out. After Stop it may be called
// again.
func (s *Sockets) Run(handle Handler) {
	s.run.Lock()
	defer s.run.Unlock()
	var all sync.WaitGroup
	for _, q := range s.queues {
		all.Go(func() { q.read(handle) })
	}
	all.Wait()
}

// Stop ends Run and waits for it: calls of the handler that have begun are finished, and what waits to be sent is sent. The sockets stay open:
// they may be handed to another process, or read again. It must not be called by the handler.
func (s *Sockets) Stop() {
}

// Close ends Run, waits for it, and closes the sockets. What waits to be sent is sent first. A second call does nothing.
func (s *Sockets) Close() error {
	var err error
	for _, q := range s.queues {
		err = q.conn.Close()
	}
	s.run.Lock()
	defer s.run.Unlock()
	return err
}

// Counters are what a queue has done since it was made, and how it stands.
type Counters struct {
	Received uint64 // datagrams handed on
	Sent     uint64 // datagrams that the system took
	Dropped  uint64 // datagrams to send that found the outbox full
	Failed   uint64 // datagrams that the system refused to send
	Cut      uint64 // datagrams received that were longer than MaxDatagram; they are dropped
	Lost     uint64 // datagrams that the system dropped because its receive buffer was full; 0 where it does not tell
	Waiting  int    // bytes in the system's receive buffer, as it counts them
	Room     int    // bytes that this buffer may hold; 0 where the system does not tell
}

// Counters are those of each queue, by its number.
func (s *Sockets) Counters() []Counters {
	return make([]Counters, len(s.queues))
}

// MaxDatagram is the longest datagram that is read, in bytes.
const MaxDatagram = 8192

// Queue is one socket with its reader and its outbox.
type Queue struct {
	conn *net.UDPConn
}

// Send puts a datagram into the queue's outbox: b is copied. It never blocks; where the outbox is full the datagram is lost,
// as on the wire, and counted. It is safe for concurrent use, by the handler and by others.
func (q *Queue) Send(b []byte, to Path) {
	_, _ = q.conn.WriteToUDPAddrPort(b, to.Peer)
}

func (q *Queue) read(handle Handler) {
	b := make([]byte, MaxDatagram)
	for {
		n, from, err := q.conn.ReadFromUDPAddrPort(b)
		if err != nil {
			return
		}
		handle(q, b[:n], Path{Peer: netip.AddrPortFrom(from.Addr().Unmap(), from.Port())})
	}
}
