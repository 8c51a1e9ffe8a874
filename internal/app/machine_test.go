package app

import (
	"runtime"
	"testing"
)

// The machine's run has one name, and its count goes on.
func TestMachine(t *testing.T) {
	id, up := machine()
	again, later := machine()
	if runtime.GOOS == "linux" && (id == "" || up <= 0) || id != again || later < up {
		t.Errorf("run %q for %v, then %q for %v", id, up, again, later)
	}
}
