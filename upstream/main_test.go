package upstream

import (
	"testing"

	"go.uber.org/goleak"
)

// Nothing that a Manager has started outlives it.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
