package resilience

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/internal/record"
)

// recordSessions is how many sessions bad records are aimed at, and shuffled how many records are sent out of order at a
// time: within the window of RFC 6347, Section 4.1.2.6.
const (
	recordSessions = 64
	shuffled       = 32
)

// badRecords sends records that were seen before, flipped and forged, which nobody may accept or answer; then good ones out
// of order and twice, of which each counts once.
func badRecords(t *testing.T) {
	g := startGateway(t, collecting)
	clients := newFleet(t, g.address, g.keys)
	all := clients.establish(1, recordSessions, 32)
	calm := calmly(g, clients, all)
	n := counts.records.get(t)
	random := rand.New(rand.NewPCG(3, 4))

	watch := g.watching()
	captured := clients.answered(all, 200)
	answers := clients.answers.Load()
	begin := time.Now()
	for i := range n {
		m := all[i%len(all)]
		m.fleet.queue.Send(m.bad(t, i/len(all), captured[i%len(all)], random), m.path)
		if i%1000 == 999 {
			clients.drained()
		}
	}
	clients.drained()
	took := time.Since(begin)
	time.Sleep(time.Second) // for answers that must not come
	during := watch.end()
	answers = clients.answers.Load() - answers

	say("%d records replayed, flipped and forged, %.0f a second", n, float64(n)/took.Seconds())
	must(t, answers == 0, "%d of them answered", answers)
	must(t, clients.alerts.Load() == 0 && clients.strange.Load() == 0, "%d alerts and %d other datagrams came back", clients.alerts.Load(), clients.strange.Load())
	calm.grown(t, during)
	outOfOrder(t, clients, all, random)
	for _, m := range all {
		m.beat()
	}
	time.Sleep(500 * time.Millisecond)
	lost := survivors(all)
	must(t, lost == 0, "%d of %d sessions lost", lost, len(all))
}

// answered makes every client send some heartbeats, and returns the records of those that were answered: each has been
// accepted once.
func (f *fleet) answered(all []*member, n int) [][][]byte {
	f.t.Helper()
	const pause = 2 * time.Millisecond
	captured, numbers := make([][][]byte, len(all)), make([][]uint32, len(all))
	for _, m := range all {
		m.listen()
	}
	for range n {
		for i, m := range all {
			m.mu.Lock()
			m.last++
			b := m.sealed(f.t, heartbeat(m.last))
			captured[i], numbers[i] = append(captured[i], b), append(numbers[i], m.last)
			m.mu.Unlock()
			f.queue.Send(b, m.path)
		}
		f.drained()
		time.Sleep(pause)
	}
	time.Sleep(500 * time.Millisecond)
	for i, m := range all {
		heard, kept := m.deaf(), captured[i][:0]
		for j, number := range numbers[i] {
			if heard[number] > 0 {
				kept = append(kept, captured[i][j])
			}
		}
		if captured[i] = kept; len(kept) == 0 {
			f.t.Fatalf("no heartbeat of %v was answered", m.path.Local)
		}
	}
	return captured
}

// listen begins to count the answers to each request; deaf ends it and returns them.
func (m *member) listen() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.heard = map[uint32]int{}
}

func (m *member) deaf() map[uint32]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	heard := m.heard
	m.heard = nil
	return heard
}

// sealed is a record of its own. The lock is held.
func (m *member) sealed(t *testing.T, message []byte) []byte {
	t.Helper()
	b, err := m.layer.Seal(nil, record.ApplicationData, message)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Where things stand in a record (RFC 6347, Section 4.1).
const (
	recordSequence = 5 // 6 bytes, behind the epoch
	recordHeader   = 13
)

// bad is the n-th bad record of a session: one it has sent before; one that nobody has seen, with one bit wrong; or a
// made-up one with the number that is due, or one far ahead, which would move the window if it counted.
func (m *member) bad(t *testing.T, n int, captured [][]byte, random *rand.Rand) []byte {
	t.Helper()
	switch n % 4 {
	case 0:
		return captured[random.IntN(len(captured))]
	case 1:
		m.mu.Lock()
		defer m.mu.Unlock()
		m.last++
		b := m.sealed(t, heartbeat(m.last))
		b[random.IntN(len(b))] ^= 1 << random.IntN(8)
		return b
	}
	b := append([]byte(nil), captured[len(captured)-1]...)
	for i := recordHeader; i < len(b); i++ {
		b[i] = byte(random.Uint32())
	}
	ahead := uint64(1)
	if n%4 == 3 {
		ahead = 1 << 40
	}
	due := binary.BigEndian.Uint64(b[recordSequence-2:]) + ahead
	binary.BigEndian.PutUint64(b[recordSequence-2:], due)
	return b
}

// drained waits until what was sent has left, so that nothing is lost on our side.
func (f *fleet) drained() {
	for range 10_000 {
		if f.sockets.Counters()[0].Queued == 0 {
			return
		}
		time.Sleep(100 * time.Microsecond)
	}
	f.t.Error("what was sent does not leave")
}

// outOfOrder sends good records in another order than they were sealed, then all of them again: each counts once.
func outOfOrder(t *testing.T, clients *fleet, all []*member, random *rand.Rand) {
	t.Helper()
	const rounds = 20
	for _, m := range all {
		m.listen()
	}
	for range rounds {
		for _, m := range all {
			records := make([][]byte, shuffled)
			m.mu.Lock()
			for i := range records {
				m.last++
				records[i] = m.sealed(t, heartbeat(m.last))
			}
			m.mu.Unlock()
			random.Shuffle(len(records), func(i, j int) { records[i], records[j] = records[j], records[i] })
			for range 2 {
				for _, b := range records {
					clients.queue.Send(b, m.path)
				}
			}
		}
		clients.drained()
		time.Sleep(20 * time.Millisecond)
	}
	time.Sleep(500 * time.Millisecond)
	sent, once, more := rounds*shuffled*len(all), 0, 0
	for _, m := range all {
		for _, times := range m.deaf() {
			if times == 1 {
				once++
			} else {
				more++
			}
		}
	}
	// Some may be lost on the way: this machine does other things.
	must(t, more == 0 && once > sent/2, "%d requests out of order and twice: %d answered once, %d more often", sent, once, more)
}
