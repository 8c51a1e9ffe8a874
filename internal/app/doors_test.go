package app

import (
	"testing"

	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/internal/metrics"
	"github.com/dotsgate/dotsgate/internal/throttle"
)

func TestDoorsAddUp(t *testing.T) {
	var d metrics.Door
	for range 2 {
		addDoor(&d, coap.DoorStatus{
			Handshakes: 1, Starts: throttle.Stats{Size: 2, Fill: 3, Evictions: 4}, Holders: throttle.Stats{Size: 5, Fill: 6, Overflows: 7},
		})
	}
	want := metrics.Door{Handshakes: 2, Starts: metrics.Table{Size: 4, Fill: 6, Lost: 8}, Holders: metrics.Table{Size: 10, Fill: 12, Lost: 14}}
	if d != want {
		t.Errorf("%+v, want %+v", d, want)
	}
}
