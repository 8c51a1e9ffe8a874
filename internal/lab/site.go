package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dotsgate/dotsgate/internal/ctl"
)

// site is a deployment as it is played: a folder with certificates and configurations, and the processes that work in it.
type site struct {
	cfg      StageConfig
	ports    map[string]string // by a port of the configurations: the one that is used in its place
	children []*child
}

// newSite prepares the folder: a PKI if there is none, and every configuration of the deployment, with free ports in it.
func newSite(cfg StageConfig) (*site, error) {
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("looking for the lab's folder: %w", err)
	}
	cfg.Dir = dir
	s := &site{cfg: cfg, ports: make(map[string]string)}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the lab's folder: %w", err)
	}
	if err := WritePKI(PKIConfig{Dir: s.path("pki")}); err != nil && !errors.Is(err, ErrPKIExists) {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(cfg.Deploy, "*.yaml"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("there is no configuration in %s", cfg.Deploy)
	}
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			return nil, fmt.Errorf("reading a configuration: %w", err)
		}
		text, err := s.relocated(string(raw))
		if err != nil {
			return nil, err
		}
		if err := writeWhole(s.path(filepath.Base(f)), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// path is the name of a file in the folder.
func (s *site) path(name string) string { return filepath.Join(s.cfg.Dir, name) }

// relocated puts free ports into a configuration. A port stays the same wherever it is named, in every configuration.
func (s *site) relocated(text string) (string, error) {
	var errs []error
	text = regexp.MustCompile(`127\.0\.0\.\d+:\d+`).ReplaceAllStringFunc(text, func(address string) string {
		host, port, err := net.SplitHostPort(address)
		if err == nil && s.ports[port] == "" {
			s.ports[port], err = freePort("127.0.0.1", "127.0.0.2")
		}
		errs = append(errs, err)
		return net.JoinHostPort(host, s.ports[port])
	})
	return text, errors.Join(errs...)
}

// freePort returns a port that nobody uses on some addresses of this machine, neither over UDP nor over TCP.
func freePort(hosts ...string) (string, error) {
	for range 20 {
		address, err := FreeAddress()
		if err != nil {
			return "", err
		}
		_, port, err := net.SplitHostPort(address)
		if err != nil {
			return "", fmt.Errorf("looking for a free port: %w", err)
		}
		taken := func(host string) bool { return !isFree(net.JoinHostPort(host, port)) }
		if !slices.ContainsFunc(hosts, taken) {
			return port, nil
		}
	}
	return "", errors.New("looking for a free port: none is free on all addresses")
}

// at is where an address of the configurations is now.
func (s *site) at(address string) string {
	host, port, _ := strings.Cut(address, ":")
	return net.JoinHostPort(host, s.ports[port])
}

// as is how a holder of one of the lab's certificates reaches an address of the configurations.
func (s *site) as(cert, address, server string) ctl.Config {
	base := s.path(filepath.Join("pki", cert))
	return ctl.Config{
		Server: s.at(address), ServerName: server + ".lab.example", Transport: ctl.TransportDTLS,
		Cert: base + ".pem", Key: base + ".key", CA: s.path("pki/ca.pem"),
	}
}

// start starts a process of the site.
func (s *site) start(name, program string, args ...string) error {
	c, err := startChild(name, s.path(name+".log"), program, args...)
	if err == nil {
		s.children = append(s.children, c)
	}
	return err
}

// server starts a simulated server, whose certificate and whose journal have its name. It serves both transports.
func (s *site) server(name, address, scenario string) error {
	args := []string{
		"server", "--listen", s.at(address), "--listen-tls", s.at(address), "--terminating", "3s", "--journal", s.path(name + ".journal"),
		"--cert", s.path("pki/" + name + ".pem"), "--key", s.path("pki/" + name + ".key"), "--ca", s.path("pki/ca.pem"),
	}
	if scenario != "" {
		file := s.path(name + ".scenario")
		if err := writeWhole(file, []byte(scenario), 0o600); err != nil {
			return err
		}
		args = append(args, "--scenario", file)
	}
	return s.start(name, s.cfg.Lab, args...)
}

// gateway starts the gateway of a configuration.
func (s *site) gateway(name, config string) error {
	return s.start(name, s.cfg.Gateway, "serve", "-c", s.path(config))
}

// await waits until somebody answers.
func (s *site) await(ctx context.Context, who string, cfg ctl.Config) error {
	if err := whileAlive(ctx, s.children, reach(cfg)); err != nil {
		return fmt.Errorf("waiting for %s: %w", who, err)
	}
	return nil
}

// mitigator writes the program of a simulated mitigator, which a configuration names, and what it does.
func (s *site) mitigator(name, scenario string) error {
	dir := s.path(name + ".state")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making the mitigator's folder: %w", err)
	}
	if err := s.attack(name, scenario); err != nil {
		return err
	}
	quoted := func(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
	script := "#!/bin/sh\nexec " + quoted(s.cfg.Lab) + " mitigator --dir " + quoted(dir) + " --scenario " + quoted(s.path(name+".scenario")) + "\n"
	return writeWhole(s.path(name), []byte(script), 0o700)
}

// attack changes what a simulated mitigator does.
func (s *site) attack(name, scenario string) error {
	return writeWhole(s.path(name+".scenario"), []byte(scenario), 0o600)
}

// operator runs a command of dotsgate's about the gateway of a configuration, and returns what it printed.
func (s *site) operator(ctx context.Context, config string, args ...string) ([]byte, error) {
	out, err := exec.CommandContext(ctx, s.cfg.Gateway, append(args, "-c", s.path(config))...).Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		err = fmt.Errorf("%w: %s", err, failed.Stderr)
	}
	if err != nil {
		return nil, fmt.Errorf("running dotsgate %s: %w", strings.Join(args, " "), err)
	}
	return out, nil
}

// kill kills a process of the site, without a word before it.
func (s *site) kill(name string) error {
	for i, c := range s.children {
		if c.name == name {
			s.children = append(s.children[:i:i], s.children[i+1:]...)
			err := c.cmd.Process.Kill()
			<-c.gone
			return err
		}
	}
	return fmt.Errorf("there is no %s", name)
}

// stop ends the processes, the last one first.
func (s *site) stop() error {
	var errs []error
	for i := len(s.children) - 1; i >= 0; i-- {
		errs = append(errs, s.children[i].stop(15*time.Second))
	}
	return errors.Join(errs...)
}

// entries reads the journal of a simulated server.
func (s *site) entries(server string) ([]Entry, error) {
	return readLines[Entry](s.path(server + ".journal"))
}

// actions reads the journal of a simulated mitigator, which has none before its first question.
func (s *site) actions(mitigator string) ([]MitigatorEntry, error) {
	list, err := readLines[MitigatorEntry](filepath.Join(s.path(mitigator+".state"), mitigatorJournalFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	return list, err
}

// pids names the processes.
func (s *site) pids() string {
	var names []string
	for _, c := range s.children {
		names = append(names, c.name+" "+strconv.Itoa(c.pid()))
	}
	return strings.Join(names, ", ")
}
