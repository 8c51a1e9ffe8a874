package front

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/pion/dtls/v3"

	"github.com/dotsgate/dotsgate/internal/record"
	"github.com/dotsgate/dotsgate/internal/udp"
)

// errMuted says that the library's last word was before the export, and that the export failed: the session can go on nowhere.
var errMuted = errors.New("taking the session over from the library")

// own is a session whose records are sealed and opened here, on the goroutine that reads the network. It is its record.Owner.
type own struct {
	conn    *Conn
	session record.Session
}

// takeOver makes the session ours, when it can be, and reports whether it did: then nothing more is read of the library, and
// first and all that follows has gone to input. first is the data of the first record that the peer has protected after its
// Finished, which proves that ours has arrived. Called on the goroutine that reads the library, which has no lock.
//
// The order matters: a record that the library sends after the export would have a number, and so a nonce, that is used again
// here. So what comes is held first; then the library gets the rest of what it was given, to its end, so that no
// record that it has opened is lost; then it is muted for good; only then is its state exported; then it is closed,
// which it announces to nobody any more.
func (c *Conn) takeOver(a *association, first []byte) bool {
	c.in.Lock()
	defer c.in.Unlock()
	data := [][]byte{first}
	c.out.Lock() // whoever writes waits
	if c.gone.Load() {
		c.out.Unlock()
		return false
	}
	a.hold()
	data = append(data, drained(a.library.Load())...)
	o, err := c.succeed(a)
	c.out.Unlock()
	for _, b := range data {
		if !c.gone.Load() {
			c.input(b)
		}
	}
	if o == nil {
		c.over(err)
		return true
	}
	for _, d := range a.release() {
		o.receive(d.via, d.data, d.from.Path)
	}
	c.association.Store(nil)
	if c.gone.Load() { // it gave way meanwhile, when there was no own to be told
		o.end(io.EOF)
	}
	return true
}

// drained is what the library has opened and not handed on. It reads until the library has seen its end, after which it opens
// nothing.
func drained(library *dtls.Conn) (data [][]byte) {
	buf := make([]byte, udp.MaxDatagram)
	for {
		n, err := library.Read(buf)
		switch {
		case err == nil:
			data = append(data, bytes.Clone(buf[:n]))
		case hasEnded(err):
			return data
		}
	}
}

// succeed puts a record layer of ours in the library's place. On an error the session is over: with io.EOF when the peer has
// ended it. Conn.out is held.
func (c *Conn) succeed(a *association) (*own, error) {
	if !a.isEmptied() {
		return nil, io.EOF
	}
	a.mute()
	library := a.library.Load()
	// RFC 9146, Section 6: where the peer was by the newest record that the library has opened, though nothing was sent there yet.
	a.follow(library.RemoteAddr())
	layer, err := c.front.records.export(library)
	_ = library.Close() // it is muted
	if err != nil {
		c.front.counters.HandOver.Add(1)
		return nil, errors.Join(errMuted, err)
	}
	o := c.front.ownOf(c, layer)
	c.own.Store(o)
	c.front.counters.TakenOver.Add(1)
	return o, nil
}

// ownOf lets a record layer of ours protect the records of a connection.
func (f *Front) ownOf(c *Conn, layer *record.Layer) *own {
	o := &own{conn: c}
	o.session.Init(record.SessionConfig{
		Layer: layer, Owner: o, Buffers: &f.records.buffers, Drops: &f.counters.Dropped,
	})
	return o
}

// records is what the sessions that are ours have in common.
type records struct {
	exporter exporter
	buffers  record.Buffers
	alarm    func(error) // nil: nobody is told
	told     sync.Once
}

// exporter takes keys and counters out of the library's state, as *record.Exporter does.
type exporter interface {
	Check(s *dtls.State) error
	Export(s *dtls.State) (record.State, error)
}

// suits reports whether a session of this state could be taken over. That the library's states are not what they were is an
// alarm, once.
func (r *records) suits(s *dtls.State) bool {
	err := r.exporter.Check(s)
	if err != nil && !errors.Is(err, record.ErrSuite) && r.alarm != nil {
		r.told.Do(func() { r.alarm(fmt.Errorf("leaving sessions with the library: %w", err)) })
	}
	return err == nil
}

func (r *records) export(library *dtls.Conn) (*record.Layer, error) {
	s, err := r.state(library)
	if err != nil {
		return nil, err
	}
	return record.New(s)
}

// state is the record layer of a session of the library's, which sends nothing any more.
func (r *records) state(library *dtls.Conn) (record.State, error) {
	state, ok := library.ConnectionState()
	if !ok {
		return record.State{}, errNoState
	}
	state.PeerCertificates = nil // they are not needed here
	s, err := r.exporter.Export(&state)
	if err != nil {
		return record.State{}, fmt.Errorf("exporting it: %w", err)
	}
	return s, nil
}

// deliver opens the records of a datagram that was routed to this session.
func (o *own) deliver(via Sender, b []byte, from udp.Path) {
	o.conn.in.Lock()
	defer o.conn.in.Unlock()
	o.receive(via, b, from)
}

// receive is deliver with Conn.in held.
func (o *own) receive(via Sender, b []byte, from udp.Path) {
	c := o.conn
	if from == c.route.Load().to {
		o.session.Receive(b, nil)
		return
	}
	n := len(b)
	o.session.Receive(b, func() { c.moveTo(via, from, n) })
}

// write seals b and sends it.
func (o *own) write(b []byte) error { return o.session.Write(b) }

// close sends close_notify, unless the session is over, and lets ended be called with io.EOF. Conn.in and Conn.out may be held.
func (o *own) close() { o.session.Close() }

// end lets ended be called, and nothing be sent any more.
func (o *own) end(reason error) { o.session.Abandon(reason) }

// Input is record.Owner's: Conn.in is held.
func (o *own) Input(b []byte) {
	if o.conn.input != nil { // a resumed session may not be served yet
		o.conn.input(b)
	}
}

// Send is record.Owner's.
func (o *own) Send(b []byte) error {
	o.conn.send(b)
	return nil
}

// Ended is record.Owner's.
func (o *own) Ended(err error) { o.conn.over(err) }

// over forgets the peer, and tells the session's owner on a goroutine of its own, after the input that may be under way.
func (c *Conn) over(err error) {
	_ = c.drop() // it cannot fail
	go func() {
		c.in.Lock()
		defer c.in.Unlock()
		if c.ended == nil {
			c.early = err
			return
		}
		c.ended(err)
	}()
}
