package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/internal/testpki"
)

// upgradePatience is how long a process may take for what it must do.
const upgradePatience = 30 * time.Second

// TestUpgrade hands a gateway over from process to process, as systemd sees it: the program that took over is the main one, the
// other ends with code 0; a program that does not take the configuration changes nothing.
func TestUpgrade(t *testing.T) {
	dir, err := os.MkdirTemp("", "dotsgate") // a folder of the test may have a name too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // what is left is in the system's folder for such things
	program, file := gatewayIn(t, dir)
	notify := filepath.Join(dir, "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: notify, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = manager.Close() }() // all is heard
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }() // both processes have it
	t.Cleanup(func() {
		if text, _ := os.ReadFile(log.Name()); t.Failed() {
			t.Logf("the gateways said:\n%s", text)
		}
	})

	first := exec.Command(program, "serve", "-c", file)
	first.Env = append(os.Environ(), "NOTIFY_SOCKET="+notify)
	first.Stdout, first.Stderr = log, log
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	ended := sync.OnceValue(first.Wait)
	t.Cleanup(func() { _ = first.Process.Kill(); _ = ended() }) // usually it has gone
	if told := hear(t, manager); told != "READY=1" {
		t.Fatalf("the manager was told %q", told)
	}
	refuses := filepath.Join(dir, "refuses")
	if err := os.WriteFile(refuses, []byte("#!/bin/sh\necho f:1:2: not good\nexit 2\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if code, text := command(program, "upgrade", "-c", file, "--binary", refuses); code != exitUsage || text != "f:1:2: not good\n" {
		t.Errorf("a program that refuses: %d %s", code, text)
	}
	if code, text := command(program, "upgrade", "-c", file, "--binary", program); code != 0 {
		t.Fatalf("upgrading: %d %s", code, text)
	}
	main := regexp.MustCompile(`^MAINPID=(\d+)\nREADY=1$`).FindStringSubmatch(hear(t, manager))
	if main == nil {
		t.Fatal("the manager was not told who is the main process")
	}
	pid, _ := strconv.Atoi(main[1])                              // digits
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) }) // usually it has gone
	if err := ended(); err != nil {
		t.Errorf("the first process ended with %v", err)
	}
	if code, text := command(program, "uplinks", "-c", file); code != 0 || !strings.Contains(text, "provider") {
		t.Errorf("asking the second: %d %s", code, text)
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	until(t, "the second process has removed its socket", func() bool {
		_, err := os.Lstat(filepath.Join(dir, "admin.sock"))
		return errors.Is(err, os.ErrNotExist)
	})
	until(t, "the second process has stopped", func() bool {
		text, _ := os.ReadFile(log.Name())
		return bytes.Contains(text, []byte("gateway stopped"))
	})
}

// gatewayIn writes a configuration into a folder, and the program under its name: this one, which the scripts call so, too.
func gatewayIn(t *testing.T, dir string) (program, file string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program = filepath.Join(dir, "dotsgate")
	if err := os.Symlink(self, program); err != nil {
		t.Fatal(err)
	}
	authority := testpki.New(t, "upgrade")
	leaf := authority.Server()
	text := "node: {id: gw1}\nlisteners:\n  - {address: \"127.0.0.1:0\"}\n  - {address: \"127.0.0.1:0\", transport: tls}\n" +
		"credentials: {cert: gateway.pem, key: gateway.key, ca: ca.pem}\nuplinks: [{name: provider, address: \"127.0.0.1:9\"}]\n" +
		"domains: [{name: example, prefixes: [192.0.2.0/24], clients: [{name: detector, credentials: {cert_names: [detector]}}]}]\n" +
		"store: {path: dotsgate.db}\nmetrics: {address: \"127.0.0.1:0\"}\nadmin: {socket: admin.sock}\n"
	file = filepath.Join(dir, "gateway.yaml")
	for name, b := range map[string][]byte{
		"ca.pem": authority.PEM(), "gateway.pem": leaf.CertPEM(), "gateway.key": leaf.KeyPEM(), "gateway.yaml": []byte(text),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return program, file
}

// command runs a program, and returns its exit code and all it said.
func command(program string, args ...string) (code int, text string) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*upgradePatience)
	defer cancel()
	out, err := exec.CommandContext(ctx, program, args...).CombinedOutput()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return exit.ExitCode(), string(out)
	} else if err != nil {
		return -1, fmt.Sprint(err)
	}
	return 0, string(out)
}

// hear is what a service manager is told next.
func hear(t *testing.T, manager *net.UnixConn) string {
	t.Helper()
	buf := make([]byte, 200)
	_ = manager.SetReadDeadline(time.Now().Add(upgradePatience)) // the read tells
	n, err := manager.Read(buf)
	if err != nil {
		t.Fatalf("the manager hears nothing: %v", err)
	}
	return string(buf[:n])
}

// until waits for what nothing tells of by itself.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.After(upgradePatience)
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for !done() {
		select {
		case <-again.C:
		case <-deadline:
			t.Fatalf("%s: it is not so", what)
		}
	}
}
