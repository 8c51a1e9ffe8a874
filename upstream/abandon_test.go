package upstream

import (
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

// An uplink that is given up must not trigger what was armed there: the session is kept, and the withdrawal repeated, until it is answered; and where the
// session is gone it is said on the next one, whatever became of the request meanwhile.
//
// RFC 9132, Section 4.7: armed requests are triggered when the session is lost.
func TestArmedIsWithdrawnBeforeAnythingEnds(t *testing.T) {
	armed := putLeg(1, 1)
	armed.Request.OnSignalLoss = true
	gone := goneLeg(1, 2)
	gone.Request.OnSignalLoss = true
	virtual(t, nil, func(w *world) {
		w.run()
		w.want(armed)
		w.sleep(time.Second)
		deletes, silent := 0, true
		w.set(func() {
			serve := w.answer
			w.answer = func(r wire.Request) (wire.Response, bool) {
				w.mu.Lock()
				withdrawal := r.Op == wire.DeleteMitigation
				if withdrawal {
					deletes++
				}
				ignored := withdrawal && silent
				w.mu.Unlock()
				if ignored {
					return wire.Response{}, false
				}
				return serve(r)
			}
		})
		w.want(gone)
		w.sleep(20 * time.Minute)
		w.set(func() {
			if deletes < 20 || len(w.dials) != 1 {
				t.Errorf("%d withdrawals in 20 minutes, dialled at %v", deletes, w.dials)
			}
		})
		if i := w.manager.Links()[0]; !i.Up || i.Session != w.clients[0].ID() {
			t.Errorf("the session was not kept: %+v", i)
		}
		// the session ends, and the server triggers the request
		w.set(func() { silent = false; w.standing[1] = dots.StatusMitigated })
		_ = w.server.Close()
		w.sleep(10 * time.Minute)
		w.set(func() {
			if w.standing[1] != dots.StatusClientWithdrawn {
				t.Errorf("what it triggered has status %v", w.standing[1])
			}
		})
	})
}
