package aaa

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"layeh.com/radius"
)

// RADIUSConfig says how RADIUS servers are asked. Each is asked over one UDP socket of its own.
type RADIUSConfig struct {
	// Servers are asked in this order: the next one when one is silent. At least one is required.
	Servers []RADIUSServer
	// NodeID is sent as NAS-Identifier. Required, at most 253 bytes.
	NodeID string
	// Vendor is the enterprise number under which our own attributes are sent. Zero: DefaultVendor.
	Vendor uint32
	// Interval is the time between two tries, Tries how many a server gets. Zero: 1 s and 3.
	Interval time.Duration
	Tries    int
	// DeadTime is how long a server that was silent is asked after all others only. Zero: 30 s.
	DeadTime time.Duration
	// dial opens a socket. Nil: a connected UDP socket.
	dial func(ctx context.Context, address string) (net.Conn, error)
}

// RADIUSServer is one server.
type RADIUSServer struct {
	// Address is its host:port; the port of RADIUS is 1812. A name is resolved when the socket is opened. Required.
	Address string
	// SecretFile holds the shared secret; a newline at its end is no part of it. Required.
	SecretFile string
}

// DefaultVendor is the enterprise number that RFC 5612 keeps for examples: we have none of our own, and an operator who has
// one can say so.
const DefaultVendor = 32473

// radiusClient asks RADIUS servers.
type radiusClient struct {
	cfg     RADIUSConfig
	servers []*radiusServer
}

func newRADIUS(cfg RADIUSConfig, meter Meter) (*radiusClient, error) {
	cfg.Vendor = cmp.Or(cfg.Vendor, DefaultVendor)
	cfg.Interval = cmp.Or(cfg.Interval, time.Second)
	cfg.Tries = cmp.Or(cfg.Tries, 3)
	cfg.DeadTime = cmp.Or(cfg.DeadTime, 30*time.Second)
	if cfg.dial == nil {
		cfg.dial = func(ctx context.Context, address string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "udp", address)
		}
	}
	switch {
	case len(cfg.Servers) == 0:
		return nil, errors.New("making a RADIUS client: a server is required")
	case cfg.NodeID == "" || len(cfg.NodeID) > maxText:
		return nil, fmt.Errorf("making a RADIUS client: node id %q is empty or too long", cfg.NodeID)
	case cfg.Interval < 0 || cfg.Tries < 0 || cfg.DeadTime < 0:
		return nil, errors.New("making a RADIUS client: a time or the number of tries is negative")
	}
	c := &radiusClient{cfg: cfg}
	for _, s := range cfg.Servers {
		if _, _, err := net.SplitHostPort(s.Address); err != nil {
			return nil, fmt.Errorf("making a RADIUS client: %w", err)
		}
		secret, err := readSecret(s.SecretFile)
		if err != nil {
			return nil, fmt.Errorf("making a RADIUS client for %s: %w", s.Address, err)
		}
		c.servers = append(c.servers, newRADIUSServer(s.Address, secret, meter))
	}
	return c, nil
}

// run keeps a socket open to each server until ctx ends.
func (c *radiusClient) run(ctx context.Context) {
	var running sync.WaitGroup
	for _, s := range c.servers {
		running.Go(func() { s.run(ctx, c.cfg.dial) })
	}
	running.Wait()
}

// ask asks about all parts of a request, one after the other: the first that is not accepted decides.
func (c *radiusClient) ask(ctx context.Context, r Request) (d Decision, err error) {
	parts, err := c.cfg.questions(r)
	if err != nil {
		return Decision{Reason: err.Error()}, nil // it will never be asked, so there is nothing to wait for
	}
	for _, part := range parts {
		if d, err = c.askPart(ctx, part); err != nil || !d.Allow {
			return d, err
		}
	}
	return d, nil
}

// askPart asks the servers until one answers.
func (c *radiusClient) askPart(ctx context.Context, avps radius.Attributes) (Decision, error) {
	var faults []error
	for _, s := range c.order() {
		d, err := s.exchange(ctx, avps, c.cfg)
		if err == nil {
			return d, nil
		}
		faults = append(faults, err)
		if ctx.Err() != nil {
			break
		}
	}
	return Decision{}, errors.Join(faults...)
}

// order returns the servers as configured, but those that were silent a while ago after all others.
func (c *radiusClient) order() []*radiusServer {
	now := time.Now()
	var dead []*radiusServer
	order := make([]*radiusServer, 0, len(c.servers))
	for _, s := range c.servers {
		if s.dead(now) {
			dead = append(dead, s)
		} else {
			order = append(order, s)
		}
	}
	return append(order, dead...)
}
