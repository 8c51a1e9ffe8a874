package ctl_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/internal/ctl"
	"github.com/dotsgate/dotsgate/internal/lab"
	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
)

// leakFree runs the tests and then looks for goroutines that they left behind.
type leakFree struct{ m *testing.M }

func (l leakFree) Run() int {
	code := l.m.Run()
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func TestMain(m *testing.M) {
	testscript.Main(leakFree{m}, map[string]func(){
		"dotsctl": func() {
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			os.Exit(ctl.Main(ctx, os.Args[1:], "v1.2.3", ctl.IO{Out: os.Stdout, Err: os.Stderr}))
		},
	})
}

// TestScripts plays the scripts in testdata against a simulated server of their own.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setup,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"ctl": runCtl, "await": awaitCtl, "mode": fileMode,
		},
	})
}

// setup starts a simulated server for one script: DTLS on $DTLS, TLS on $TLS, a PKI in pki. A file scenario.yaml of the script
// is its scenario.
func setup(env *testscript.Env) error {
	pki := filepath.Join(env.WorkDir, "pki")
	if err := lab.WritePKI(lab.PKIConfig{Dir: pki}); err != nil {
		return err
	}
	credentials, err := coap.LoadCredentials(coap.CredentialsConfig{
		CertFile: filepath.Join(pki, "upstream.pem"), KeyFile: filepath.Join(pki, "upstream.key"), CAFile: filepath.Join(pki, "ca.pem"),
		PSKs: func(identity string) ([]byte, bool) { return []byte("0123456789abcdef"), identity == "detector" },
	})
	if err != nil {
		return err
	}
	scenario := lab.Scenario{Steps: []lab.Step{
		{Status: dots.StatusInProgress},
		{After: 100 * time.Millisecond, Status: dots.StatusMitigated, Rate: lab.Rate{Bytes: 1_000_000, Packets: 500}},
	}}
	if own := filepath.Join(env.WorkDir, "scenario.yaml"); exists(own) {
		if scenario, err = lab.ReadScenario(own); err != nil {
			return err
		}
	}
	journal, err := os.Create(filepath.Join(env.WorkDir, "journal"))
	if err != nil {
		return err
	}
	lines := lab.NewJournal(journal)
	server, err := lab.NewServer(lab.ServerConfig{
		Listeners:   []lab.Listener{{Network: coap.NetworkUDP, Address: "127.0.0.1:0"}, {Network: coap.NetworkTCP, Address: "127.0.0.1:0"}},
		Credentials: credentials, Scenario: scenario, NotifyInterval: -1, Terminating: 100 * time.Millisecond,
		Record: func(e lab.Entry) { lines.Write(e) },
	})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	env.Defer(func() {
		stop()
		if err := errors.Join(<-done, lines.Err(), journal.Close()); err != nil {
			panic(err)
		}
	})
	env.Setenv("DTLS", server.Addrs()[0].String())
	env.Setenv("TLS", server.Addrs()[1].String())
	return nil
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// runCtl runs dotsctl as client1 and checks its exit code: ctl CODE ARGUMENTS.
func runCtl(ts *testscript.TestScript, neg bool, args []string) {
	if got, want := ctlOnce(ts, neg, args); got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// awaitCtl runs dotsctl again and again until it has the exit code: await CODE ARGUMENTS. Each try is a round trip to the
// server, and as good as a pause.
func awaitCtl(ts *testscript.TestScript, neg bool, args []string) {
	for deadline := time.Now().Add(time.Minute); ; {
		got, want := ctlOnce(ts, neg, args)
		if got == want {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("exit code %d still, want %d", got, want)
		}
	}
}

// ctlOnce runs dotsctl in this process. Files need absolute names.
func ctlOnce(ts *testscript.TestScript, neg bool, args []string) (got, want int) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: ctl|await CODE ARGUMENTS")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	base := ts.MkAbs("pki/client1")
	all := append([]string{
		"--server", ts.Getenv("DTLS"), "--transport", "dtls", "--cert", base + ".pem", "--key", base + ".key", "--ca", ts.MkAbs("pki/ca.pem"),
	}, args[1:]...)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return ctl.Main(ctx, all, "v1.2.3", ctl.IO{Out: ts.Stdout(), Err: ts.Stderr()}), want
}

// fileMode checks a file's permissions: mode 600 FILE.
func fileMode(ts *testscript.TestScript, neg bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if got := fmt.Sprintf("%o", info.Mode().Perm()); (got == args[0]) == neg {
		ts.Fatalf("%s has mode %s", args[1], got)
	}
}
