package lab

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// runProgram runs a program with something on its standard input.
func runProgram(t *testing.T, program, in string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program)
	cmd.Stdin = strings.NewReader(in)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("running %s: %v\n%s", program, err, out)
	}
	return out
}

// TestNewSite: every configuration of a deployment gets free ports, and a port is the same in all of them.
func TestNewSite(t *testing.T) {
	for _, name := range Deployments() {
		s, err := newSite(StageConfig{Deploy: filepath.Join("..", "..", "deploy", name), Dir: filepath.Join(t.TempDir(), "lab")})
		if err != nil {
			t.Fatal(err)
		}
		files, err := filepath.Glob(s.path("*.yaml"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v, %v", name, files, err)
		}
		for _, f := range files {
			raw, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			shipped, err := os.ReadFile(filepath.Join("..", "..", "deploy", name, filepath.Base(f)))
			if err != nil {
				t.Fatal(err)
			}
			address := regexp.MustCompile(`127\.0\.0\.\d+:\d+`)
			was, is := address.FindAllString(string(shipped), -1), address.FindAllString(string(raw), -1)
			for i, a := range was {
				if len(is) != len(was) || is[i] != s.at(a) || is[i] == a {
					t.Errorf("%s: %v became %v", f, was, is)
					break
				}
			}
			for _, file := range regexp.MustCompile(`pki/[a-z0-9.]+`).FindAllString(string(raw), -1) {
				if _, err := os.Stat(s.path(file)); err != nil {
					t.Errorf("%s names a file that nobody makes: %v", f, err)
				}
			}
		}
		if len(s.ports) < 3 {
			t.Errorf("%s: ports %v", name, s.ports)
		}
	}
	if _, err := newSite(StageConfig{Deploy: t.TempDir(), Dir: t.TempDir()}); err == nil || !strings.Contains(err.Error(), "no configuration") {
		t.Errorf("without a configuration: %v", err)
	}
}

func TestFreePort(t *testing.T) {
	port, err := freePort("127.0.0.1", "127.0.0.2")
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"127.0.0.1", "127.0.0.2"} {
		l, err := takePort("udp", net.JoinHostPort(host, port))
		if err != nil {
			t.Errorf("port %s of %s: %v", port, host, err)
			continue
		}
		_ = l.Close()
	}
	if _, err := freePort("192.0.2.1"); err == nil {
		t.Error("a port on an address that is not ours")
	}
}

func TestKill(t *testing.T) {
	s := &site{cfg: StageConfig{Dir: t.TempDir()}}
	for _, name := range []string{"one", "two"} {
		if err := s.start(name, "/bin/sh", "-c", "sleep 1000"); err != nil {
			t.Fatal(err)
		}
	}
	dead := s.children[0]
	if err := s.kill("one"); err != nil || !dead.ended() || len(s.children) != 1 || s.children[0].name != "two" {
		t.Errorf("kill() = %v, left %v", err, s.children)
	}
	if err := s.kill("one"); err == nil {
		t.Error("killed twice")
	}
	if err := s.kill("two"); err != nil || s.stop() != nil {
		t.Errorf("kill() = %v", err)
	}
}

// TestStoriesSee: gateways that keep the requests to themselves are found out.
func TestStoriesSee(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name, says := range map[string]string{
		"cpe":        "one detector asks: ",
		"federation": "a customer of a's asks: ",
		"nowhere":    `unknown deployment "nowhere"`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, view := untilAsked(t)
			err := Demo(ctx, StageConfig{Gateway: self, Lab: self, Deployment: name, Deploy: filepath.Join("..", "..", "deploy", name)}, view)
			if err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("Demo() = %v, want %q", err, says)
			}
		})
	}
}
