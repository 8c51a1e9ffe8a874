package front

import (
	"errors"
	"fmt"
	"net"

	"github.com/dotsgate/dotsgate/internal/record"
	"github.com/dotsgate/dotsgate/internal/udp"
)

var (
	// ErrExported is what a session ends with that goes on in another process.
	ErrExported = errors.New("the session goes on in another process")
	// ErrTaken says that there is a session already where one is to be resumed: no export is resumed twice.
	ErrTaken = errors.New("there is a session already")
	// ErrNotPortable says that a session's records are the library's, and stay so: it cannot go on in another process.
	ErrNotPortable = errors.New("the session cannot go on in another process")

	errClientState = errors.New("resuming a session: it is a client's")
)

// Exported is all that another process needs to go on with a session. It holds its secrets: it must never be kept, since a
// sequence number that comes back is a nonce that is used twice.
type Exported struct {
	// Record is a record.State, encoded.
	Record []byte
	// Origin is where its ClientHello came from, and To where its peer is now.
	Origin, To udp.Path
	// ID is the connection ID that the peer was given; empty for none.
	ID []byte
	// Random is the ClientHello's random value.
	Random [randomSize]byte
	// Received and Sent are the bytes that went both ways with To where Trial says that it is not confirmed.
	Trial          bool
	Received, Sent int64
}

// Format writes which session it is without its secrets, whatever the verb.
func (e Exported) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "front.Exported(%v)", e.To.Peer) } // fmt reports errors itself

// Export ends the session here without a word to the peer, and returns what Resume needs. Nothing is sealed here any more when it
// returns; what has been sealed and waits to be sent still leaves. ended is called with ErrExported, or with io.EOF. After
// Serve only. It returns ErrNotPortable, and the session lives on, where the library protects its records for good, and
// net.ErrClosed when it is over.
func (c *Conn) Export() (Exported, error) {
	c.in.Lock()
	defer c.in.Unlock()
	c.out.Lock()
	defer c.out.Unlock()
	if c.gone.Load() {
		return Exported{}, net.ErrClosed
	}
	r := c.route.Load()
	e := Exported{Origin: c.origin, To: r.to, Random: c.random}
	if id := c.id.Load(); id != nil {
		e.ID = id[:]
	}
	if r.trial != nil {
		e.Trial, e.Received, e.Sent = true, r.trial.received.Load(), r.trial.sent.Load()
	}
	state, err := c.exportState()
	if err != nil {
		return Exported{}, err
	}
	e.Record, err = state.MarshalBinary()
	return e, err
}

// exportState takes the record layer away from whoever has it. Conn.in and Conn.out are held.
func (c *Conn) exportState() (record.State, error) {
	if o := c.own.Load(); o != nil {
		state, err := o.session.Export()
		if err != nil {
			return record.State{}, fmt.Errorf("exporting a session: %w", err)
		}
		c.over(ErrExported)
		return state, nil
	}
	if !c.suit {
		return record.State{}, ErrNotPortable
	}
	// As in takeOver: the last word of the library first, then its state. That our Finished has arrived is not known: a peer
	// that has missed it will not find anybody who repeats it, and begins anew.
	a := c.association.Load()
	a.mute()
	library := a.library.Load()
	state, err := c.front.records.state(library)
	_ = c.drop()        // it cannot fail
	_ = library.Close() // it is muted; whoever reads it ends the session
	return state, err
}

// Resume goes on with a session of another process. Serve is to follow, after SetOwner; what comes before that is lost. It
// returns ErrTaken where there is somebody already, so that no export is resumed twice.
func (f *Front) Resume(e Exported) (*Conn, error) {
	var state record.State
	if err := state.UnmarshalBinary(e.Record); err != nil {
		return nil, fmt.Errorf("resuming a session: %w", err)
	}
	if state.IsClient || len(e.ID) != 0 && len(e.ID) != cidLength {
		return nil, errClientState
	}
	layer, err := record.New(state)
	if err != nil {
		return nil, fmt.Errorf("resuming a session: %w", err)
	}
	c := &Conn{front: f, origin: e.Origin, random: e.Random}
	r := &route{via: f.cfg.Network.Sender(e.To), to: e.To}
	if e.Trial {
		r.trial = new(trial)
		r.trial.received.Store(e.Received)
		r.trial.sent.Store(e.Sent)
	}
	c.route.Store(r)
	if len(e.ID) > 0 {
		id := connectionID(e.ID)
		c.id.Store(&id)
	}
	c.own.Store(f.ownOf(c, layer))
	if !f.table.adopt(c) {
		return nil, fmt.Errorf("resuming a session: %w", ErrTaken)
	}
	f.counters.Resumed.Add(1)
	return c, nil
}

// serveResumed begins a session that was resumed.
func (c *Conn) serveResumed(input func(b []byte), ended func(error)) {
	c.in.Lock()
	defer c.in.Unlock()
	c.input, c.ended = input, ended
	if c.early != nil { // it was closed before
		go ended(c.early)
		return
	}
	if r := c.route.Load(); r.trial != nil && c.front.cfg.Moved != nil {
		c.front.cfg.Moved(c, r.to.Peer)
	}
}
