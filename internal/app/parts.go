package app

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/downstream"
	"github.com/dotsgate/dotsgate/internal/config"
	"github.com/dotsgate/dotsgate/internal/resolve"
	"github.com/dotsgate/dotsgate/wire"
)

// newResolver makes the resolver that the configuration describes.
func newResolver(c config.DNS) (*resolve.Resolver, error) {
	r, err := resolve.New(resolve.Config{
		Server: c.Server, Transport: resolve.Transport(c.Transport), TLSName: c.TLSName, CAFile: c.CA,
		RequireAD: c.RequireDNSSEC, Static: c.Static,
	})
	if err != nil {
		return nil, fmt.Errorf("making the resolver: %w", err)
	}
	return r, nil
}

// unmirrored names the uplinks whose dialect cannot say of a single request that it is armed (RFC 9132, Section 4.4.1,
// trigger-mitigation): such requests fire from here alone.
func unmirrored(uplinks []config.Uplink) map[string]bool {
	armed := wire.Request{Op: wire.PutMitigation, CUID: "c", MID: dots.Some[uint32](1), Mitigation: dots.Request{
		MID: 1, OnSignalLoss: true, Lifetime: dots.Some(dots.DefaultLifetime), Target: dots.Target{FQDNs: []string{"name.example"}},
	}}
	names := map[string]bool{}
	for _, u := range uplinks {
		_, err := profile(u.Profile).EncodeRequest(armed)
		names[u.Name] = err != nil
	}
	return names
}

// newCUID makes a cuid after a collision: random, in the form of the others (RFC 9132, Section 4.4.1.1).
func newCUID() string {
	var seed [sha256.Size]byte
	_, _ = rand.Read(seed[:]) // never fails
	return dots.EncodeCUID(seed)
}

// sessionConfig is what sessions begin with, and what is accepted: the recommended parameters, the operator's heartbeats, and what he says of each parameter
// (RFC 9132, Section 4.5.2).
func sessionConfig(c config.Session) dots.SessionConfig {
	s := downstream.DefaultSession()
	for _, set := range []*dots.ConfigSet{&s.Mitigating, &s.Idle} {
		interval := uint16(c.HeartbeatInterval.Seconds()) // at most 240, checked by config
		set.HeartbeatInterval.Current = dots.Some(interval)
		set.HeartbeatInterval.Min = dots.Some(min(interval, set.HeartbeatInterval.Min.Value))
		missing := uint16(c.MissingHBAllowed) // at most 1000, checked by config
		set.MissingHBAllowed.Current = dots.Some(missing)
		set.MissingHBAllowed.Min = dots.Some(min(missing, set.MissingHBAllowed.Min.Value))
		set.MissingHBAllowed.Max = dots.Some(max(missing, set.MissingHBAllowed.Max.Value))
	}
	return dots.SessionConfig{Mitigating: offered(c.Mitigating, s.Mitigating), Idle: offered(c.Idle, s.Idle)}
}

// offered takes what is configured of a set, and the rest from another one.
func offered(configured, rest dots.ConfigSet) dots.ConfigSet {
	return dots.ConfigSet{
		HeartbeatInterval: either(configured.HeartbeatInterval, rest.HeartbeatInterval),
		MissingHBAllowed:  either(configured.MissingHBAllowed, rest.MissingHBAllowed),
		ProbingRate:       either(configured.ProbingRate, rest.ProbingRate),
		MaxRetransmit:     either(configured.MaxRetransmit, rest.MaxRetransmit),
		AckTimeout:        either(configured.AckTimeout, rest.AckTimeout),
		AckRandomFactor:   either(configured.AckRandomFactor, rest.AckRandomFactor),
	}
}

func either[T any](configured, rest dots.Bounds[T]) dots.Bounds[T] {
	if configured.Set() {
		return configured
	}
	return rest
}

// silence is how long a client that has negotiated nothing may be silent before it is lost, whichever set is in force (RFC 9132, Section 4.7).
func silence(c dots.SessionConfig) time.Duration {
	var longest time.Duration
	for _, set := range []dots.ConfigSet{c.Idle, c.Mitigating} {
		interval := time.Duration(set.HeartbeatInterval.Current.Value) * time.Second
		longest = max(longest, interval*time.Duration(set.MissingHBAllowed.Current.Value))
	}
	return longest
}
