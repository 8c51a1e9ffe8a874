package resilience

import (
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/dots"
)

// restart is how the gateway ends, and is started again from the same store.
type restart struct {
	name string
	end  func(*world)
	away time.Duration
}

func restarts() []restart {
	return []restart{
		{"stopped for a minute", (*world).stopGateway, time.Minute},
		{"killed for a minute", (*world).crashGateway, time.Minute},
		{"killed for six minutes", (*world).crashGateway, 6 * time.Minute}, // after seven and a half the server triggers what is mirrored there, as it has to
	}
}

// span is how long nothing may be heard of a client before it is lost (RFC 9132, Section 4.7), with the recommended parameters.
const span = 15 * beatEvery

// grace is how long the gateway waits for its clients after its own start.
const grace = 2*span + time.Minute

// play arms a mitigation for each client and restarts the gateway. Half of the clients are back within seconds, the others stay away for less than
// the span, but for the last ones, which never come back. It tells what was triggered at the upstream server while all that are to come back had time
// for it, and what in the end.
func (r restart) play(w *world, clients, lost int) (early, inTheEnd int) {
	var all []*client
	for i := range clients {
		c := w.join(i)
		all = append(all, c)
		c.within(10*time.Second, c.put(1, 1, armed, forever))
	}
	w.until(time.Hour, func() bool { return len(w.server.Held()) == clients })
	w.wait(10 * time.Minute)
	early = w.triggered(clients)
	r.end(w)
	w.wait(r.away)
	w.startGateway()
	began := time.Now()
	for i, c := range all[:clients-lost] {
		at := time.Duration(i) * 10 * time.Second / time.Duration(clients)
		if i%2 == 1 {
			at += span - 20*time.Second
		}
		w.tasks.Go(func() { w.comeBack(c, began.Add(at)) })
	}
	for time.Since(began) < grace-time.Minute {
		w.wait(5 * time.Second)
		early = max(early, w.triggered(clients))
	}
	w.wait(20 * time.Minute)
	return early, w.triggered(clients)
}

// comeBack connects a client again at a time.
func (w *world) comeBack(c *client, at time.Time) {
	select {
	case <-w.life.Done():
	case <-time.After(time.Until(at)):
		c.connect()
	}
}

// triggered counts what clients had armed and is in force at the upstream server, or is not there at all.
func (w *world) triggered(clients int) (n int) {
	held := w.server.Held()
	for _, h := range held {
		if h.Status != dots.StatusSignalLossArmed {
			n++
		}
	}
	return n + max(clients-len(held), 0)
}

// TestRestartWithArmedClients is a small one.
func TestRestartWithArmedClients(t *testing.T) {
	for _, r := range restarts() {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, 1, func(w *world) {
				if early, inTheEnd := r.play(w, 10, 2); early != 0 || inTheEnd != 2 {
					t.Errorf("%d triggered early, %d in the end", early, inTheEnd)
				}
			})
		})
	}
}

// armedRow is the row.
func armedRow(t *testing.T) {
	const lost = 3
	n := counts.armed.get(t)
	for _, r := range restarts() {
		inWorld(t, 1, func(w *world) {
			early, inTheEnd := r.play(w, n, lost)
			must(t, early == 0 && inTheEnd == lost, "gateway %s with %d armed clients: %d triggered; of %d clients that never came back %d",
				r.name, n, early, lost, inTheEnd)
		})
	}
}
