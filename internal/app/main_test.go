package app

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain ends with a look for goroutines that are left. With killChildEnv set the process is no test but a gateway, which
// its parent kills.
func TestMain(m *testing.M) {
	if file := os.Getenv(killChildEnv); file != "" {
		os.Exit(killChild(file))
	}
	goleak.VerifyTestMain(m)
}
