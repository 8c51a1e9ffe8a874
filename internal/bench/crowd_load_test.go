package bench

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/message/codes"
	"github.com/plgd-dev/go-coap/v3/udp/coder"

	"github.com/dotsgate/dotsgate/internal/coap"
)

// load is what a lane's clients are doing: so many of their slots have a request on its way, the others wait for their turn.
type load struct {
	running bool
	once    bool // every slot asks once
	paced   bool // the next asks when it is told to, and not when another has its answer
	rounds  bool // a client's slots ask again when all of them have their answers
	want    []coap.Code
	idle    []*slot // in the order of their turns: those of a client one behind the other
	all     []*slot
	done    int             // answers
	took    []time.Duration // they took, since it was looked at last
	again   int             // requests sent again
	err     error
}

func (l *load) fail(err error) {
	if l.err == nil {
		l.err = err
	}
}

// slot is a request that a client makes again and again, one at a time.
type slot struct {
	member  *member
	message []byte
	number  uint32    // of the request on its way; the slot's place in its member is the lowest byte
	sent    time.Time // zero: none is on its way
	acked   bool      // the answer comes later
	rests   bool      // it has its answer, others of its round have not
}

// What is looked at in a message (RFC 7252, Section 3).
const (
	coapHeader  = 4
	tokenLength = 4
	typeMask    = 0x30
	confirmable = 0x00
)

// prepare makes the requests of the clients from the given one on, and lets them wait.
func (c *crowd) prepare(from, slots int, ask asker, want []coap.Code) {
	for _, l := range c.lanes {
		l.work.Lock()
		l.load = load{want: want}
		l.work.Unlock()
	}
	for i := from; i < len(c.members); i++ {
		m := c.members[i]
		m.lane.work.Lock()
		m.slots = m.slots[:0]
		for j := range slots {
			s := &slot{member: m, message: requestBytes(ask(i, j)), number: uint32(j)}
			m.slots = append(m.slots, s)
			m.lane.load.all = append(m.lane.load.all, s)
		}
		m.lane.work.Unlock()
	}
	for _, l := range c.lanes {
		l.work.Lock()
		l.load.idle = slices.Clone(l.load.all)
		l.work.Unlock()
	}
}

// requestBytes is a request with a token whose place is known.
func requestBytes(m *coap.Message) []byte {
	out := message.Message{Code: codes.Code(m.Code), Type: message.Confirmable, Token: make([]byte, tokenLength), Payload: m.Payload}
	if m.NonConfirmable {
		out.Type = message.NonConfirmable
	}
	for _, o := range m.Options {
		out.Options = append(out.Options, message.Option{ID: message.OptionID(o.Number), Value: o.Value})
	}
	b := make([]byte, 1024)
	n, err := coder.DefaultCoder.Encode(out, b)
	if err != nil {
		panic(err) // it is our own and can be said
	}
	return bytes.Clone(b[:n]) // there may be very many
}

const (
	// atOnce is how many requests a lane begins with, and adds after a pause: more at once are more than small receive buffers hold.
	atOnce     = 16
	beginPause = 3 * time.Millisecond
)

// begin puts so many requests on their way. What is lost is sent again from time to time, until end.
func (c *crowd) begin(most int) {
	for begun := 0; begun < most; begun += atOnce * len(c.lanes) {
		for _, l := range c.lanes {
			l.work.Lock()
			l.load.running = true
			for range min(atOnce, most/len(c.lanes)+1) {
				l.next()
			}
			l.work.Unlock()
		}
		time.Sleep(beginPause)
	}
}

// ask lets the slot whose turn it is ask.
func (l *lane) ask() {
	l.work.Lock()
	defer l.work.Unlock()
	l.next()
}

// next lets the slot whose turn it is ask. The lock is held.
func (l *lane) next() {
	if len(l.load.idle) == 0 || !l.load.running {
		return
	}
	s := l.load.idle[0]
	l.load.idle = l.load.idle[1:]
	s.number += 1 << 8
	s.member.mid++
	s.sent, s.acked = time.Now(), false
	binary.BigEndian.PutUint16(s.message[2:], s.member.mid)
	binary.BigEndian.PutUint32(s.message[coapHeader:], s.number)
	s.member.send(s.message)
}

// message takes a message of the server. The lock is held.
func (m *member) message(b []byte) {
	if len(b) < coapHeader {
		return
	}
	code, tkl := coap.Code(b[1]), int(b[0]&0xf)
	if len(b) < coapHeader+tkl {
		return
	}
	token := b[coapHeader : coapHeader+tkl]
	switch {
	case code == 0:
		m.empty(b)
	case code.IsRequest() && m.layer != nil: // a heartbeat
		m.send(answerTo(b, token, coap.Changed))
	default:
		if code.IsResponse() && b[0]&typeMask == confirmable {
			m.send([]byte{0x60, 0, b[2], b[3]})
		}
		m.answer(code, token, b[coapHeader+tkl:])
	}
}

// empty takes an acknowledgement, after which the answer comes by itself, or a ping.
func (m *member) empty(b []byte) {
	if b[0]&typeMask == confirmable {
		m.send([]byte{0x70, 0, b[2], b[3]}) // a reset
		return
	}
	for _, s := range m.slots {
		if binary.BigEndian.Uint16(s.message[2:]) == binary.BigEndian.Uint16(b[2:]) {
			s.acked = true
		}
	}
}

// answer takes the answer to the request with a token.
func (m *member) answer(code coap.Code, token, rest []byte) {
	if len(token) != tokenLength || int(token[3]) >= len(m.slots) {
		return
	}
	s, l := m.slots[token[3]], &m.lane.load
	if s.number != binary.BigEndian.Uint32(token) || s.sent.IsZero() {
		return // of a request that was sent again
	}
	if m.layer != nil && !slices.Contains(l.want, code) {
		l.fail(fmt.Errorf("answered %s: %q", code, rest))
	}
	l.done++
	l.took = append(l.took, time.Since(s.sent))
	s.sent = time.Time{}
	m.round(s)
}

// round lets a slot wait for its turn, at once, or, where rounds are kept, when all slots of its client have their answers: so these ask together, however
// many clients there are.
func (m *member) round(s *slot) {
	if !m.lane.load.rounds {
		m.lane.turn(s)
		return
	}
	s.rests = true
	for _, other := range m.slots {
		if !other.rests {
			return
		}
	}
	for _, other := range m.slots {
		other.rests = false
		m.lane.turn(other)
	}
}

// turn lets a slot wait for its turn, and the one whose turn it is ask.
func (l *lane) turn(s *slot) {
	if !l.load.once {
		l.load.idle = append(l.load.idle, s)
	}
	if !l.load.paced {
		l.next()
	}
}

// answerTo answers a request with a code, confirmed when it asks for that.
func answerTo(request, token []byte, code coap.Code) []byte {
	first := byte(0x50)
	if request[0]&typeMask == confirmable {
		first = 0x60
	}
	return append([]byte{first | byte(len(token)), byte(code), request[2], request[3]}, token...)
}

// lossTime is after how long a request is taken as lost on its way (RFC 7252, Section 4.8: ACK_TIMEOUT).
const lossTime = 2 * time.Second

// repair sends again what was lost.
func (c *crowd) repair() {
	for _, l := range c.lanes {
		l.work.Lock()
		for _, s := range l.load.all {
			if !s.sent.IsZero() && !s.acked && time.Since(s.sent) > lossTime {
				l.load.again++
				s.sent = time.Now()
				s.member.send(s.message)
			}
		}
		l.work.Unlock()
	}
}

// progress is how many answers came, how long those took that came since it was called last, and what went wrong.
func (c *crowd) progress() (done int, took []time.Duration, err error) {
	c.repair()
	var errs []error
	for _, l := range c.lanes {
		l.work.Lock()
		done += l.load.done
		took = append(took, l.load.took...)
		l.load.took = l.load.took[:0]
		errs = append(errs, l.load.err)
		l.work.Unlock()
	}
	return done, took, errors.Join(errs...)
}

// end lets nothing more be asked.
func (c *crowd) end() {
	for _, l := range c.lanes {
		l.work.Lock()
		l.load.running = false
		l.work.Unlock()
	}
}

// drive keeps requests in flight, on each client at most so many and sessions*inFlight in all, and measures again and again.
func (c *crowd) drive(slots int, ask asker, want ...coap.Code) []result {
	c.t.Helper()
	c.prepare(0, slots, ask, want)
	for _, l := range c.lanes {
		l.work.Lock()
		l.load.rounds = len(c.members)*slots > sessions*inFlight // else none waits for its turn
		l.work.Unlock()
	}
	c.begin(sessions * inFlight)
	defer c.end()
	return windows(c.t, c.process, func() (int, []time.Duration) {
		done, took, err := c.progress()
		if err != nil {
			c.t.Fatalf("%.500s; the server said: %s", err, c.said())
		}
		return done, took
	})
}
