package udp

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"
)

// Handler gets a datagram. b is valid during the call and may be changed by it. It runs on the queue's own goroutine, one
// call at a time for each queue, so it must not block. Which queue a datagram comes by is for speed only: a ClientHello may
// come by any, and so may the rest.
type Handler func(q *Queue, b []byte, from Path)

// Sockets are bound sockets, one for each queue. Its methods are safe for concurrent use.
type Sockets struct {
	queues  []*Queue
	addr    net.Addr
	steered bool
	refused error // why it is not, though it was wanted

	running sync.Mutex // held by Run

	mu     sync.Mutex
	stop   chan struct{} // closed to end Run; nil while it does not run
	closed bool
}

// Steered reports whether the kernel keeps ClientHellos apart: queue 0 has them, the others have the rest.
func (s *Sockets) Steered() bool { return s.steered }

// Refused is why the kernel does not steer, though it was asked to; nil when it does, or was not asked. It is for the log.
func (s *Sockets) Refused() error { return s.refused }

// Addr is the address that the sockets are bound to, a *net.UDPAddr.
func (s *Sockets) Addr() net.Addr { return s.addr }

// Queues are the queues by their number. The slice is not to be changed.
func (s *Sockets) Queues() []*Queue { return s.queues }

// Files are duplicates of the sockets for FromFiles in another process, in the order of the queues; they are the caller's to
// close. What arrives while nobody reads waits in the kernel.
//
// Take the descriptor by SyscallConn: Fd would make the socket blocking for everybody who has it, and Run would not end.
func (s *Sockets) Files() ([]*os.File, error) {
	files := make([]*os.File, 0, len(s.queues))
	for _, q := range s.queues {
		f, err := q.conn.File()
		if err != nil {
			closeAll(files)
			return nil, fmt.Errorf("duplicating a socket: %w", err)
		}
		files = append(files, f)
	}
	return files, nil
}

// Run reads datagrams and hands them on until Stop or Close. Errors of the system are waited out. After Stop it may be called
// again; after Close it returns at once.
func (s *Sockets) Run(handle Handler) {
	s.running.Lock()
	defer s.running.Unlock()
	stop, ok := s.begin()
	if !ok {
		return
	}
	read := make(chan struct{}) // closed when all readers have ended: what they send last is written, too
	var readers, writers sync.WaitGroup
	for _, q := range s.queues {
		readers.Go(func() { q.read(handle, stop) })
		writers.Go(func() { q.write(read) })
	}
	readers.Wait()
	close(read)
	writers.Wait()
}

// begin makes the mark that ends a run.
func (s *Sockets) begin() (stop <-chan struct{}, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, false
	}
	for _, q := range s.queues {
		_ = q.conn.SetReadDeadline(time.Time{}) // it fails only on a closed socket, and then reading does
	}
	s.stop = make(chan struct{})
	return s.stop, true
}

// Stop ends Run and waits for it: calls of the handler that have begun are finished, and what waits to be sent is sent. The
// sockets stay open: they may be handed to another process, or read again; what is sent meanwhile waits for that. The
// handler must not call it.
func (s *Sockets) Stop() {
	s.mu.Lock()
	s.halt()
	s.mu.Unlock()
	s.running.Lock() // wait
	defer s.running.Unlock()
}

// halt asks Run to end. The caller holds s.mu.
func (s *Sockets) halt() {
	if s.stop == nil {
		return
	}
	close(s.stop)
	s.stop = nil
	for _, q := range s.queues {
		_ = q.conn.SetReadDeadline(time.Unix(1, 0)) // readers look at stop; it fails only on a closed socket
	}
}

// lastWrites is how long Close lets the system take what waits to be sent.
const lastWrites = time.Second

// Close ends Run, waits for it, and closes the sockets. What waits to be sent is sent first, for a second at most. The
// handler must not call it. A second call does nothing.
func (s *Sockets) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	for _, q := range s.queues {
		q.box.close()
		_ = q.conn.SetWriteDeadline(time.Now().Add(lastWrites)) // it fails only on a closed socket
	}
	s.halt()
	s.mu.Unlock()
	s.running.Lock()
	defer s.running.Unlock()
	var errs []error
	for _, q := range s.queues {
		q.finish()
		errs = append(errs, q.conn.Close())
	}
	return errors.Join(errs...)
}

func closeAll[C interface{ Close() error }](all []C) {
	for _, c := range all {
		_ = c.Close() // the caller has a better error
	}
}
