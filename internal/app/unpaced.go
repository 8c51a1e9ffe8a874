package app

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"

	"github.com/dotsgate/dotsgate/internal/config"
)

// envInFlight is how many requests may wait for the answer of an uplink, in measurements of what the gateway can do without its
// pacing (docs/performance.md). It is no setting: no configuration has it, and it is refused unless all uplinks are on this machine.
const envInFlight = "DOTSGATE_LAB_IN_FLIGHT"

// labInFlight reads text, the value of envInFlight; 0: the pacing stays as it is.
func labInFlight(text string, uplinks []config.Uplink) (int, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 4 || n > 1<<16 {
		return 0, fmt.Errorf("%s=%.20q: use a number from 4 to 65536", envInFlight, text)
	}
	for _, u := range uplinks {
		if at, err := netip.ParseAddrPort(u.Address); err != nil || !at.Addr().IsLoopback() {
			return 0, errors.New(envInFlight + " is for the lab: uplink " + u.Name + " is not at a loopback address")
		}
	}
	return n, nil
}
