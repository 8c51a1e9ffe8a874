package liveness

import (
	"testing"
	"time"
)

// A session that goes on elsewhere is judged as if it had stayed: what was missed counts, and the next heartbeat is due when it was.
func TestResume(t *testing.T) {
	cfg := Config{Role: Server, Interval: 30 * time.Second, MissingAllowed: 3}
	stays := New(start(), cfg, nil)
	stays.Due(at(0))
	stays.HeartbeatSent(at(0))
	stays.PeerHeartbeat(at(7), true)
	stays.Due(at(30))
	stays.HeartbeatSent(at(30))
	goes := Resume(stays.Memory(), cfg, nil)
	if stays.Next() != goes.Next() {
		t.Errorf("next at %v, want %v", goes.Next(), stays.Next())
	}
	for second := 31; second < 200; second++ {
		now := at(float64(second))
		want, got := stays.Due(now), goes.Due(now)
		if want != got {
			t.Fatalf("at %d: %+v, want %+v", second, got, want)
		}
		if want.SendHeartbeat {
			stays.HeartbeatSent(now)
			goes.HeartbeatSent(now)
		}
	}
	if got := goes.Due(at(200)).State; got != Lost {
		t.Errorf("in the end it is %v", got)
	}
}
