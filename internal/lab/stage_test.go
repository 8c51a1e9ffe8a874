package lab

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/internal/ctl"
)

// lab's own configuration, as far as a stage looks into it.
const someConfig = "listeners:\n  - {address: \"127.0.0.1:4646\"}\nuplinks:\n  - {address: \"127.0.0.1:5646\"}\nmetrics: {address: \"127.0.0.1:9464\"}\n"

// stageConfig is a stage whose gateway is the false one.
func stageConfig(t *testing.T, config string) StageConfig {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "dotsgate.yaml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return StageConfig{Gateway: self, Lab: self, Deploy: dir, Dir: filepath.Join(dir, "lab"), FreePorts: true}
}

func TestNewStage(t *testing.T) {
	cfg := stageConfig(t, someConfig)
	s, err := newStage(cfg)
	if err != nil {
		t.Fatalf("newStage() = %v", err)
	}
	raw, err := os.ReadFile(s.path("dotsgate.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, fixed := range []string{gatewayAddress, upstreamAddress, metricsAddress} {
		if strings.Contains(string(raw), fixed) {
			t.Errorf("%s is still in the configuration", fixed)
		}
	}
	for _, free := range []string{s.gateway, s.upstream} {
		if strings.Count(string(raw), free) != 1 {
			t.Errorf("%s is not in the configuration once:\n%s", free, raw)
		}
	}
	key, err := os.ReadFile(s.path("pki/client1.key"))
	if err != nil {
		t.Fatal(err)
	}
	cfg.FreePorts = false
	s, err = newStage(cfg)
	if err != nil {
		t.Fatalf("a second newStage() = %v", err)
	}
	if again, err := os.ReadFile(s.path("pki/client1.key")); err != nil || string(again) != string(key) {
		t.Errorf("the PKI did not stay: %v", err)
	}
	if raw, err := os.ReadFile(s.path("dotsgate.yaml")); err != nil || string(raw) != someConfig || s.gateway != gatewayAddress {
		t.Errorf("with fixed ports: %v\n%s", err, raw)
	}
}

func TestNewStageMistakes(t *testing.T) {
	cfg := stageConfig(t, strings.ReplaceAll(someConfig, "5646", "5647"))
	if _, err := newStage(cfg); err == nil || !strings.Contains(err.Error(), "does not name 127.0.0.1:5646") {
		t.Errorf("another port: %v", err)
	}
	cfg.Deploy = filepath.Join(cfg.Deploy, "none")
	if _, err := newStage(cfg); err == nil || !strings.Contains(err.Error(), "reading the gateway's configuration") {
		t.Errorf("no configuration: %v", err)
	}
	cfg.Dir = filepath.Join(stageConfig(t, "").Deploy, "dotsgate.yaml", "lab")
	if _, err := newStage(cfg); err == nil || !strings.Contains(err.Error(), "making the lab's folder") {
		t.Errorf("no folder: %v", err)
	}
}

// TestLabsOwnConfiguration: the file that is shipped is one that a stage can use.
func TestLabsOwnConfiguration(t *testing.T) {
	cfg := stageConfig(t, "")
	cfg.Deploy = filepath.Join("..", "..", "deploy", "lab")
	s, err := newStage(cfg)
	if err != nil {
		t.Fatalf("newStage() = %v", err)
	}
	raw, err := os.ReadFile(s.path("dotsgate.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range regexp.MustCompile(`pki/[a-z0-9.]+`).FindAllString(string(raw), -1) {
		if _, err := os.Stat(s.path(file)); err != nil {
			t.Errorf("the configuration names a file that nobody makes: %v", err)
		}
	}
	if n := len(regexp.MustCompile(`:(4646|5646|9464)\b`).FindAllString(string(raw), -1)); n > 0 {
		t.Errorf("%d fixed ports are left:\n%s", n, raw)
	}
}

// screen is what the user sees.
type screen struct {
	lines chan string
	seen  func(line string) // called for each line before it is there; may be nil
	rest  string
}

func (s *screen) Write(b []byte) (int, error) {
	s.rest += string(b)
	for {
		line, rest, found := strings.Cut(s.rest, "\n")
		if !found {
			return len(b), nil
		}
		s.rest = rest
		if s.seen != nil {
			s.seen(line)
		}
		s.lines <- line
	}
}

// untilAsked is what the user sees, and a context that ends once a client has asked for something, so that nothing that should follow is
// waited for.
func untilAsked(t *testing.T) (context.Context, *screen) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(stop)
	return ctx, &screen{lines: make(chan string, 100), seen: func(line string) {
		if strings.Contains(line, " asks for ") {
			stop()
		}
	}}
}

// TestRun: the lab is up, what it prints works, and it ends all it has started.
func TestRun(t *testing.T) {
	cfg := stageConfig(t, someConfig)
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	view := &screen{lines: make(chan string, 100)}
	done := make(chan error, 1)
	go func() { done <- Run(ctx, cfg, view) }()
	var command string
	var pids []string
	for command == "" {
		select {
		case err := <-done:
			t.Fatalf("Run() = %v", err)
		case line := <-view.lines:
			if strings.HasPrefix(line, "The lab is up") {
				pids = regexp.MustCompile(`\d+`).FindAllString(line, -1)
			}
			if strings.Contains(line, " mitigate --prefix ") {
				command = strings.TrimSpace(line)
			}
		}
	}
	var out, notes strings.Builder
	if code := ctl.Main(ctx, strings.Fields(command)[1:], "", ctl.IO{Out: &out, Err: &notes}); code != 0 || !strings.HasPrefix(out.String(), "2.01 ") {
		t.Errorf("%s\nexit code %d, %s%s", command, code, &out, &notes)
	}
	stop()
	if err := <-done; err != nil {
		t.Errorf("Run() = %v", err)
	}
	if len(pids) != 2 {
		t.Fatalf("pids %v", pids)
	}
	for _, pid := range pids {
		if _, err := os.Stat(filepath.Join("/proc", pid)); err == nil {
			t.Errorf("process %s is still there", pid)
		}
	}
}

// TestRunBesideAnother: a lab whose ports are taken does not say that it is up, and names whose port it is.
func TestRunBesideAnother(t *testing.T) {
	s, err := newStage(stageConfig(t, someConfig))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.portsFree(); err != nil {
		t.Fatalf("free ports: %v", err)
	}
	for _, tt := range []struct{ network, address, whose string }{
		{"udp", s.gateway, "the gateway"},
		{"tcp", s.gateway, "the gateway"},
		{"udp", s.upstream, "the simulated server"},
		{"tcp", s.metrics, "the gateway's metrics"},
	} {
		other, err := takePort(tt.network, tt.address)
		if err != nil {
			t.Fatal(err)
		}
		err = s.start(t.Context())
		if err == nil || !strings.Contains(err.Error(), "the port of "+tt.whose+" is in use") || !strings.Contains(err.Error(), "another lab") {
			t.Errorf("%s %s: %v", tt.network, tt.whose, err)
		}
		if len(s.children) != 0 {
			t.Fatalf("%d programs were started", len(s.children))
		}
		_ = other.Close()
	}
}

// TestRunEndsWithTheGateway: a gateway that cannot start ends the lab, with what it said.
func TestRunEndsWithTheGateway(t *testing.T) {
	cfg := stageConfig(t, someConfig)
	cfg.Gateway = filepath.Join(cfg.Deploy, "gateway")
	if err := os.WriteFile(cfg.Gateway, []byte("#!/bin/sh\necho out of order\nexit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	err := Run(t.Context(), cfg, &screen{lines: make(chan string, 100)})
	if err == nil || !strings.Contains(err.Error(), "the gateway has ended") || !strings.Contains(err.Error(), "out of order") {
		t.Errorf("Run() = %v", err)
	}
}

// TestDemoSees: a gateway that keeps the request to itself is found out.
func TestDemoSees(t *testing.T) {
	cfg := stageConfig(t, someConfig)
	ctx, view := untilAsked(t)
	err := Demo(ctx, cfg, view)
	if err == nil || !strings.Contains(err.Error(), "the gateway's PUT is not in the journal") {
		t.Errorf("Demo() = %v", err)
	}
	close(view.lines)
	var told []string
	for line := range view.lines {
		told = append(told, line)
	}
	if len(told) != 2 || !strings.Contains(told[1], "asks for 192.0.2.0/24 as mid 7001: 2.01") {
		t.Errorf("told %q", told)
	}
}

func TestChildren(t *testing.T) {
	dir := t.TempDir()
	sh := func(script string) *child {
		c, err := startChild("it", filepath.Join(dir, "log"), "/bin/sh", "-c", script)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	ready := func(c *child) {
		t.Helper()
		err := whileAlive(t.Context(), []*child{c}, func(context.Context) error {
			raw, err := os.ReadFile(c.log)
			if err == nil && len(raw) == 0 {
				err = os.ErrNotExist
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	c := sh("trap 'exit 0' TERM; echo ready; while :; do sleep 0.01; done")
	ready(c)
	if c.ended() {
		t.Error("ended before it was told to")
	}
	if err := c.stop(testLife); err != nil || !c.ended() {
		t.Errorf("stop() = %v", err)
	}
	if err := c.stop(testLife); err != nil {
		t.Errorf("stop() again = %v", err)
	}
	c = sh("echo all is lost; exit 3")
	<-c.gone
	if err := c.stop(testLife); err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "all is lost") {
		t.Errorf("stop() of one that failed = %v", err)
	}
	c = sh("trap '' TERM; echo ready; while :; do sleep 0.01; done")
	ready(c)
	if err := c.stop(50 * time.Millisecond); err == nil || !strings.Contains(err.Error(), "was killed") {
		t.Errorf("stop() of one that does not listen = %v", err)
	}
	if err := syscall.Kill(c.pid(), 0); err == nil {
		t.Error("it lives on")
	}
	if _, err := startChild("none", filepath.Join(dir, "log"), filepath.Join(dir, "none")); err == nil {
		t.Error("a program that is not there was started")
	}
	if _, err := startChild("none", filepath.Join(dir, "none", "log"), "/bin/sh"); err == nil {
		t.Error("started without its log")
	}
}
