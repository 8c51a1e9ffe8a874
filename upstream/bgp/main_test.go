package bgp

import (
	"testing"

	"go.uber.org/goleak"
)

// Nothing that a Mitigator has started outlives its Close.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
