// Package bench measures the whole gateway as its users meet it: a process of its own, sessions over DTLS and TLS, an
// upstream server behind it. It holds no code outside test files; `make bench` runs it.
package bench

import (
	"fmt"
	"os"
	"testing"
)

// The environment that drives a measurement.
const (
	envRun     = "DOTSGATE_BENCH"         // set: measure; else nothing is measured
	envOnly    = "DOTSGATE_BENCH_ONLY"    // a pattern: measure only what matches
	envProfile = "DOTSGATE_BENCH_PROFILE" // a folder: also write CPU profiles of the gateway there
	envSeconds = "DOTSGATE_BENCH_SECONDS" // the length of a repetition; default 1.5
	envRole    = "DOTSGATE_BENCH_ROLE"    // set by the test for its own children: which server to be
)

// TestMain makes the test binary a server where its parent wants it to be one: a yardstick, or a gateway that
// writes profiles.
func TestMain(m *testing.M) {
	role, args := os.Getenv(envRole), os.Args[1:]
	var err error
	switch role {
	case "":
		os.Exit(m.Run())
	case "library":
		err = serveLibrary(args[0], args[1])
	case "coap":
		err = serveCoAP(args[0], args[1])
	case "gocoap":
		err = serveGoCoAP(args[0], args[1])
	case "gocoap-relay":
		err = serveGoCoAPRelay(args[0], args[1], args[2])
	case "udpecho":
		err = serveUDPEcho(args[0])
	case "gateway":
		err = serveProfiled(args[0], args[1])
	default:
		err = fmt.Errorf("unknown role %q", role)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
