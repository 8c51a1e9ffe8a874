package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/dotsgate/dotsgate/internal/ctl"
)

// StageConfig says which programs the lab plays with, and where.
type StageConfig struct {
	// Gateway is the gateway's program, Lab is dotslab's own. Required.
	Gateway, Lab string
	// Deploy is the folder of the gateway's configuration, dotsgate.yaml. Required.
	Deploy string
	// Dir is the folder of the PKI, the store, sockets and journals; it is made where it does not exist. Required.
	Dir string
	// Deployment is the story to play: cpe, provider or federation. Empty means that of one client, one gateway and one server.
	Deployment string
	// FreePorts takes ports that are free in place of those in the configuration.
	FreePorts bool
}

// The addresses in the gateway's configuration for the lab.
const (
	gatewayAddress  = "127.0.0.1:4646"
	upstreamAddress = "127.0.0.1:5646"
	metricsAddress  = "127.0.0.1:9464"
)

// stage is a simulated server, the gateway before it, and what both need.
type stage struct {
	cfg      StageConfig
	gateway  string // host:port
	upstream string
	metrics  string
	children []*child
}

// newStage prepares the folder: a PKI if there is none, and the gateway's configuration.
func newStage(cfg StageConfig) (*stage, error) {
	s := &stage{cfg: cfg, gateway: gatewayAddress, upstream: upstreamAddress, metrics: metricsAddress}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the lab's folder: %w", err)
	}
	if err := WritePKI(PKIConfig{Dir: s.path("pki")}); err != nil && !errors.Is(err, ErrPKIExists) {
		return nil, err
	}
	raw, err := os.ReadFile(filepath.Join(cfg.Deploy, "dotsgate.yaml"))
	if err != nil {
		return nil, fmt.Errorf("reading the gateway's configuration: %w", err)
	}
	text := string(raw)
	for _, address := range []string{gatewayAddress, upstreamAddress} {
		if !strings.Contains(text, address) {
			return nil, fmt.Errorf("the configuration in %s does not name %s", cfg.Deploy, address)
		}
	}
	if cfg.FreePorts {
		if text, err = s.freePorts(text); err != nil {
			return nil, err
		}
	}
	if err := writeWhole(s.path("dotsgate.yaml"), []byte(text), 0o600); err != nil {
		return nil, err
	}
	return s, nil
}

// path is the name of a file in the lab's folder.
func (s *stage) path(name string) string { return filepath.Join(s.cfg.Dir, name) }

// freePorts puts addresses with free ports into the configuration.
func (s *stage) freePorts(text string) (string, error) {
	var free [3]string
	for i := range free {
		var err error
		if free[i], err = FreeAddress(); err != nil {
			return "", err
		}
	}
	s.gateway, s.upstream, s.metrics = free[0], free[1], free[2]
	return strings.NewReplacer(gatewayAddress, free[0], upstreamAddress, free[1], metricsAddress, free[2]).Replace(text), nil
}

// The ports that FreeAddress chooses from: above the usual services', and below those that systems give to whoever leaves the choice to
// them (RFC 6335, Section 6; Linux begins at 32768), since one of those may be given away again before we use it.
const (
	lowestPort = 20000
	ports      = 10000
)

// FreeAddress returns an address of this machine, 127.0.0.1 with a port that nobody uses, neither over UDP nor over TCP. Only who chooses
// by chance as we do may take it before it is used.
func FreeAddress() (string, error) {
	for range 100 {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(lowestPort+rand.IntN(ports)))
		if isFree(address) {
			return address, nil
		}
	}
	return "", errors.New("looking for a free port: none is free over UDP and TCP")
}

// isFree reports whether nobody uses an address, over UDP or over TCP.
func isFree(address string) bool {
	for _, network := range []string{"tcp", "udp"} {
		l, err := takePort(network, address)
		if err != nil {
			return false
		}
		_ = l.Close() // it was only asked for
	}
	return true
}

// portsFree looks whether anybody listens where the stage will: to be answered by another lab would pass for our own's answer.
func (s *stage) portsFree() error {
	for _, p := range []struct{ whose, network, address string }{
		{"the gateway", "udp", s.gateway},
		{"the gateway", "tcp", s.gateway},
		{"the simulated server", "udp", s.upstream},
		{"the gateway's metrics", "tcp", s.metrics},
	} {
		l, err := takePort(p.network, p.address)
		if err != nil {
			return fmt.Errorf("the port of %s is in use, maybe by another lab that runs: end that one first: %w", p.whose, err)
		}
		_ = l.Close() // it was only asked for
	}
	return nil
}

// takePort listens over TCP or UDP.
func takePort(network, address string) (io.Closer, error) {
	if network == "tcp" {
		return net.Listen(network, address)
	}
	return net.ListenPacket(network, address)
}

// as is how one of the lab's clients reaches the gateway.
func (s *stage) as(client string) ctl.Config {
	base := s.path(filepath.Join("pki", client))
	return ctl.Config{
		Server: s.gateway, Cert: base + ".pem", Key: base + ".key", CA: s.path("pki/ca.pem"), Transport: ctl.TransportDTLS,
	}
}

// start starts the simulated server and then the gateway, and waits until both answer.
func (s *stage) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := s.portsFree(); err != nil {
		return err
	}
	server, err := startChild("the simulated server", s.path("upstream.log"), s.cfg.Lab, "server", "--listen", s.upstream,
		"--cert", s.path("pki/upstream.pem"), "--key", s.path("pki/upstream.key"), "--ca", s.path("pki/ca.pem"),
		"--journal", s.path("upstream.journal"), "--terminating", "5s")
	if err != nil {
		return err
	}
	s.children = append(s.children, server)
	above := s.as("gateway")
	above.Server = s.upstream
	if err := whileAlive(ctx, s.children, reach(above)); err != nil {
		return fmt.Errorf("waiting for the simulated server: %w", err)
	}
	gateway, err := startChild("the gateway", s.path("dotsgate.log"), s.cfg.Gateway, "serve", "-c", s.path("dotsgate.yaml"))
	if err != nil {
		return err
	}
	s.children = append(s.children, gateway)
	if err := whileAlive(ctx, s.children, reach(s.as("client1"))); err != nil {
		return fmt.Errorf("waiting for the gateway: %w", err)
	}
	return nil
}

// reach returns what tries whether a server answers. It is patient in vain when the server is not there yet, since a lost
// ClientHello is repeated late: so a little at first and more with each attempt.
func reach(cfg ctl.Config) func(context.Context) error {
	wait := 50 * time.Millisecond
	return func(ctx context.Context) error {
		wait = min(2*wait, 5*time.Second)
		return ctl.Open(ctx, cfg, wait, func(ctx context.Context, c *ctl.Conn) error {
			ctx, cancel := context.WithTimeout(ctx, wait)
			defer cancel()
			return c.Ping(ctx)
		})
	}
}

// stop ends the gateway and then the simulated server.
func (s *stage) stop() error {
	var errs []error
	for i := len(s.children) - 1; i >= 0; i-- {
		errs = append(errs, s.children[i].stop(15*time.Second))
	}
	return errors.Join(errs...)
}

// journal reads the simulated server's journal.
func (s *stage) journal() ([]Entry, error) {
	return readLines[Entry](s.path("upstream.journal"))
}

// pids names the children's processes.
func (s *stage) pids() string {
	var names []string
	for _, c := range s.children {
		names = append(names, c.name+" "+strconv.Itoa(c.pid()))
	}
	return strings.Join(names, ", ")
}
