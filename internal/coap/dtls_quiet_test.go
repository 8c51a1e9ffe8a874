package coap

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dotsgate/dotsgate/internal/front"
)

// TestQuietClient: a client that says nothing after its handshake is asked with an empty CON, which it resets (RFC 7252, Section 4.3), and that
// is the record by which its session is taken over from the library. On the library's own path nobody is asked.
func TestQuietClient(t *testing.T) {
	for path, want := range map[front.RecordPath]uint64{front.Own: 1, front.Pion: 0} {
		synctest.Test(t, func(t *testing.T) {
			p := newDTLSPair(t, path)
			defer p.close()
			time.Sleep(time.Second)
			synctest.Wait()
			if got := p.door.TakenOver.Load(); got != want {
				t.Errorf("path %d: %d sessions were taken over, want %d", path, got, want)
			}
			if got := p.counters.RecordsIn.Load(); got != want {
				t.Errorf("path %d: the client got %d records, want %d", path, got, want)
			}
			time.Sleep(time.Minute)
			if got := p.counters.RecordsIn.Load(); got != want {
				t.Errorf("path %d: the client got %d records in a minute, want %d", path, got, want)
			}
			ping(t, p.client, p.server, "later")
			ping(t, p.server, p.client, "later")
		})
	}
}

// TestNudge: the question is no CON that is sent again, and its answer is nobody's: a session that is never answered is not given up for it,
// and one that has ended asks nothing.
func TestNudge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newDTLSPair(t, front.Own)
		defer p.close()
		p.clientSocket.setFail(context.DeadlineExceeded) // its answers are lost
		time.Sleep(10 * time.Minute)
		if got := p.counters.RecordsIn.Load(); got != 4 {
			t.Errorf("the client was asked %d times, want 4", got)
		}
		if err := p.server.Err(); err != nil {
			t.Errorf("the session was given up: %v", err)
		}
		p.clientSocket.setFail(nil)
		ping(t, p.client, p.server, "at last")
		synctest.Wait()
		if got := p.door.TakenOver.Load(); got != 1 {
			t.Errorf("%d sessions were taken over by the first record, want 1", got)
		}
		_ = p.server.Close()
		synctest.Wait()
		before := p.counters.RecordsIn.Load()
		p.server.nudge()
		synctest.Wait()
		if got := p.counters.RecordsIn.Load(); got != before || !errors.Is(p.server.Err(), ErrClosed) {
			t.Errorf("a session that ended (%v) has asked", p.server.Err())
		}
	})
}
