package lab

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Run starts the lab on its fixed ports, tells what to try, and waits until ctx ends or one of the programs does, which is
// an error. It ends what it started.
func Run(ctx context.Context, cfg StageConfig, to io.Writer) (err error) {
	s, err := newStage(cfg)
	if err != nil {
		return err
	}
	defer func() {
		stopped := s.stop()
		if err == nil {
			err = stopped
		}
	}()
	if err := s.start(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	say(to, "%s", s.hints())
	select {
	case <-ctx.Done():
		say(to, "ending the lab\n")
		return nil
	case <-s.children[0].gone:
		return fmt.Errorf("%s has ended:\n%s", s.children[0].name, s.children[0].tail())
	case <-s.children[1].gone:
		return fmt.Errorf("%s has ended:\n%s", s.children[1].name, s.children[1].tail())
	}
}

// hints are the commands to try, as they work from where we are.
func (s *stage) hints() string {
	as := func(client string) string {
		base := shown(s.path(filepath.Join("pki", client)))
		return fmt.Sprintf("%s --server %s --cert %s.pem --key %s.key --ca %s",
			shown(beside(s.cfg.Lab, "dotsctl")), s.gateway, base, base, shown(s.path("pki/ca.pem")))
	}
	one := as("client1")
	lines := []string{
		"The lab is up (" + s.pids() + "). Try in another terminal:",
		"",
		"  " + one + " mitigate --prefix 192.0.2.0/24 --lifetime 3600",
		"  " + one + " watch",
		"  " + one + " withdraw 1",
		"  " + as("client2") + " mitigate --fqdn www.example.com --port 443 --protocol tcp",
		"  " + one + " --transport tls ping",
		"  " + shown(s.cfg.Gateway) + " mitigations --socket " + shown(s.path("admin.sock")),
		"  curl http://" + metricsAddress + "/metrics",
		"",
		"What the gateway asked the simulated server: " + shown(s.path("upstream.journal")),
		"What the gateway says:                       " + shown(s.path("dotsgate.log")),
		"",
		"Ctrl-C ends the lab.",
		"",
	}
	return strings.Join(lines, "\n")
}

// shown is a path as it is shortest from where we are.
func shown(path string) string {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	here, err := os.Getwd()
	if err != nil {
		return absolute
	}
	relative, err := filepath.Rel(here, absolute)
	if err != nil || len(relative) >= len(absolute) {
		return absolute
	}
	if !strings.ContainsRune(relative, filepath.Separator) {
		return "." + string(filepath.Separator) + relative // a program in this folder
	}
	return relative
}

// beside is another program in the folder of one.
func beside(program, other string) string { return filepath.Join(filepath.Dir(program), other) }
