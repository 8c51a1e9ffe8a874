package lab

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/internal/ctl"
	"github.com/spf13/cobra"
)

// loadFlags are the flags of load.
type loadFlags struct {
	files     credentialFlags
	transport string
	profile   string
	prefix    string
	journal   string
	quiet     bool
	cfg       LoadConfig
}

func (t *tool) loadCommand() *cobra.Command {
	var f loadFlags
	c := &cobra.Command{
		Use:   "load",
		Short: "Put a load on a DOTS server and measure it",
		Args:  noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			return t.load(c.Context(), f)
		},
	}
	f.files.add(c)
	c.Flags().StringVar(&f.cfg.Address, "server", "127.0.0.1:4646", "the server's `HOST:PORT`")
	c.Flags().StringVar(&f.cfg.ServerName, "server-name", "", "name that the server's certificate must have (default: the host of --server)")
	c.Flags().StringVar(&f.transport, "transport", "dtls", "dtls or tls")
	c.Flags().StringVar(&f.profile, "profile", "rfc9132", "the dialect: rfc9132 or draft04")
	c.Flags().StringVar(&f.cfg.CUID, "cuid", "", "the client's identifier (default: from the certificate's key)")
	c.Flags().BoolVar(&f.cfg.CUIDPerSession, "cuid-per-session", false, "give each session an identifier of its own")
	c.Flags().StringVar(&f.cfg.Mode, "mode", ModeMixed, "put-refresh, get, mixed or echo")
	c.Flags().IntVar(&f.cfg.Sessions, "sessions", 1, "sessions")
	c.Flags().IntVar(&f.cfg.InFlight, "in-flight", 1, "requests in flight on each session")
	c.Flags().DurationVar(&f.cfg.Duration, "duration", 10*time.Second, "end after this time; 0: by --count alone")
	c.Flags().Uint64Var(&f.cfg.Count, "count", 0, "end after so many requests; 0: by --duration alone")
	c.Flags().DurationVar(&f.cfg.Timeout, "timeout", 10*time.Second, "give a session up after this long without an answer")
	c.Flags().StringVar(&f.prefix, "prefix", "192.0.2.0/24", "`PREFIX` whose addresses are the targets")
	c.Flags().Uint32Var(&f.cfg.FirstMID, "first-mid", 1, "the least mid in use")
	c.Flags().Int64Var(&f.cfg.Lifetime, "lifetime", 3600, "lifetime of the mitigations in seconds")
	c.Flags().StringVar(&f.journal, "journal", "", "`FILE` that gets a line of JSON for everything asked and acknowledged")
	c.Flags().BoolVar(&f.quiet, "quiet", false, "print the summary only")
	return c
}

func (t *tool) load(ctx context.Context, f loadFlags) error {
	cfg, err := f.config()
	if err != nil {
		return err
	}
	journal, closeJournal, err := t.openJournal(f.journal)
	if err != nil {
		return err
	}
	if journal != nil {
		cfg.Record = func(a Ack) { journal.Write(a) }
	}
	if !f.quiet {
		cfg.Every = t.everySecond()
	}
	result, err := Load(ctx, cfg)
	if err == nil {
		say(t.io.Out, "%v", result)
		err = result.failure()
	}
	if journal != nil {
		err = errors.Join(err, journal.Err())
	}
	return errors.Join(err, closeJournal())
}

// config makes the load that the flags ask for.
func (f loadFlags) config() (cfg LoadConfig, err error) {
	cfg = f.cfg
	switch f.transport {
	case ctl.TransportDTLS:
		cfg.Network = coap.NetworkUDP
	case ctl.TransportTLS:
		cfg.Network = coap.NetworkTCP
	default:
		return cfg, fmt.Errorf("%w: unknown transport %q: dtls or tls", errUsage, f.transport)
	}
	if cfg.Profile, err = ctl.Profile(f.profile); err != nil {
		return cfg, fmt.Errorf("%w: %w", errUsage, err)
	}
	if cfg.Prefix, err = netip.ParsePrefix(f.prefix); err != nil {
		return cfg, fmt.Errorf("%w: %w", errUsage, err)
	}
	if cfg.Credentials, err = f.files.load(); err != nil {
		return cfg, err
	}
	if cfg.CUID == "" {
		cfg.CUID, err = cuidOf(f.files.cert)
	}
	return cfg, err
}

// everySecond returns what prints a line for the second that has passed.
func (t *tool) everySecond() func(LoadResult) {
	var last LoadResult
	return func(r LoadResult) {
		say(t.io.Err, "%4.0f s  %7d answers/s  p50 %v  p99 %v  %d sessions made\n",
			r.Elapsed.Seconds(), r.Requests-last.Requests, r.P50.Round(time.Microsecond), r.P99.Round(time.Microsecond), r.Dials)
		last = r
	}
}

// cuidOf is the cuid that a certificate file gives. RFC 9132, Section 4.4.1.1.
func cuidOf(name string) (string, error) {
	raw, err := os.ReadFile(name)
	if err != nil {
		return "", fmt.Errorf("reading the certificate: %w", err)
	}
	block, _ := pem.Decode(raw)
	if block == nil {
		return "", fmt.Errorf("reading %s: no certificate in it", name)
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", name, err)
	}
	return dots.Credential{SPKI: leaf.RawSubjectPublicKeyInfo}.CUID(), nil
}
