package upstream

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/wire"
)

// A server that keeps no observers is polled each minute while there are legs, and not after.
func TestPollFallback(t *testing.T) {
	virtual(t, nil, func(w *world) {
		w.raw = func(r wire.Request, ex *coap.Exchange) bool {
			if !r.Observe.Set {
				return false
			}
			resp, _ := w.serve(r)
			ex.Respond(encode(w.profile, r, resp)) // without an Observe option
			return true
		}
		w.run()
		w.want(putLeg(1, 1))
		w.sleep(3*time.Minute + time.Second)
		w.takeAsked("PUT 1", "OBSERVE0 cuid", "LIST cuid", "LIST cuid", "LIST cuid")
		w.events.take(t, "0s up a", "0s PUT 1 r1: 2.01 for 3600", "0s a/cuid all 1=1",
			"1m0s a/cuid all 1=1", "2m0s a/cuid all 1=1", "3m0s a/cuid all 1=1")
		w.manager.Forget("a", []dots.LegKey{putLeg(1, 1).Key})
		w.sleep(time.Hour)
		w.takeAsked()
	})
}

func TestTheEndOfAnObservationIsRegisteredAgain(t *testing.T) {
	virtual(t, nil, func(w *world) {
		w.run()
		w.want(putLeg(1, 1))
		w.sleep(10 * time.Second)
		w.observer.Notify(&coap.Message{Code: coap.InternalServerError, Payload: []byte("restarting")})
		synctest.Wait()
		w.takeAsked("PUT 1", "OBSERVE0 cuid")
		w.sleep(3 * time.Second)
		w.takeAsked("OBSERVE0 cuid")
		w.status(1, dots.StatusMitigated)
		w.events.take(t, "0s up a", "0s PUT 1 r1: 2.01 for 3600", "0s a/cuid all 1=1", "13s a/cuid all 1=1", "13s a/cuid all 1=2")
	})
}

// While the core is slow, the newest notification replaces those it has not taken.
func TestNotificationsCoalesce(t *testing.T) {
	virtual(t, nil, func(w *world) {
		w.run()
		w.want(putLeg(1, 1))
		w.sleep(time.Second)
		block := make(chan struct{})
		w.events.mu.Lock()
		w.events.block = block
		w.events.mu.Unlock()
		for _, s := range []dots.Status{2, 3, 4, 1, 2} {
			w.status(1, s)
		}
		w.events.mu.Lock()
		w.events.block = nil
		w.events.mu.Unlock()
		close(block)
		synctest.Wait()
		w.events.take(t, "0s up a", "0s PUT 1 r1: 2.01 for 3600", "0s a/cuid all 1=1", "1s a/cuid all 1=2", "1s a/cuid all 1=2")
	})
}

func TestAnObservationOutOfUseIsEnded(t *testing.T) {
	virtual(t, nil, func(w *world) {
		w.run()
		w.want(putLeg(1, 1))
		w.manager.Forget("a", []dots.LegKey{putLeg(1, 1).Key})
		w.sleep(time.Minute)
		w.takeAsked("PUT 1", "OBSERVE0 cuid", "OBSERVE1 cuid")
	})
}

func TestNotificationsThatCannotBeReadAreDropped(t *testing.T) {
	virtual(t, nil, func(w *world) {
		w.run()
		w.want(putLeg(1, 1))
		w.sleep(time.Second)
		w.events.take(t, "0s up a", "0s PUT 1 r1: 2.01 for 3600", "0s a/cuid all 1=1")
		for _, body := range []string{"", "\xff", "\xa1\x01\xa1\x02\x9b\x7f\xff\xff\xff\xff\xff\xff\xff", "text"} {
			m := &coap.Message{Code: coap.Content, Payload: []byte(body)}
			m.Options.AddUint(coap.ContentFormat, 271)
			w.observer.Notify(m)
			synctest.Wait()
		}
		w.observer.Notify(&coap.Message{Code: coap.Changed})
		synctest.Wait()
		w.events.take(t)
		w.status(1, dots.StatusMitigated)
		w.events.take(t, "1s a/cuid all 1=2")
	})
}
