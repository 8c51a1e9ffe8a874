package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/spf13/cobra"
)

// errUsage says that what was asked for makes no sense.
var errUsage = errors.New("wrong use")

// IO is where a program writes.
type IO struct {
	// Out gets what was asked for, Err everything else. Required.
	Out, Err io.Writer
}

// tool is what the commands share.
type tool struct {
	io  IO
	ran bool // a command began: what fails from then on is no wrong use of cobra's
}

// Main runs dotslab with the arguments after the program's name and returns its exit code: 0, 1 for a failure, 2 for a
// wrong use. It returns soon after ctx ends.
func Main(ctx context.Context, args []string, version string, to IO) int {
	t := &tool{io: to}
	root := &cobra.Command{
		Use:           "dotslab",
		Short:         "A laboratory for DOTS: a private PKI, a simulated server, load, a bad path, a demonstration",
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       version,
		PersistentPreRun: func(*cobra.Command, []string) {
			t.ran = true
		},
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(t.pkiCommand(), t.serverCommand(), t.mitigatorCommand(), t.loadCommand(), t.linkCommand(), t.demoCommand(), t.runCommand())
	root.SetArgs(args)
	root.SetOut(to.Out)
	root.SetErr(to.Err)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	say(to.Err, "dotslab: %v\n", err)
	if !t.ran || errors.Is(err, errUsage) {
		return 2
	}
	return 1
}

// say tells the user something. When it cannot be told, nobody is left to be told that.
func say(to io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(to, format, args...) }

func noArguments(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%w: unexpected %q", errUsage, args[0])
	}
	return nil
}

func (t *tool) pkiCommand() *cobra.Command {
	var cfg PKIConfig
	c := &cobra.Command{
		Use:   "pki",
		Short: "Make a private PKI for everybody in the lab",
		Long: "pki writes ca.pem, and NAME.pem and NAME.key for upstream, gateway, client1 to client3, server1 to server3, a, b, c,\n" +
			"stranger (another authority's) and expired.",
		Args: noArguments,
		RunE: func(*cobra.Command, []string) error {
			return WritePKI(cfg)
		},
	}
	c.Flags().StringVar(&cfg.Dir, "dir", "pki", "`DIRECTORY` to write to")
	c.Flags().BoolVar(&cfg.Force, "force", false, "overwrite a PKI that is there")
	c.Flags().DurationVar(&cfg.Lifetime, "lifetime", pkiLifetime, "how long the certificates are good")
	return c
}

// credentialFlags are the files of a peer.
type credentialFlags struct{ cert, key, ca string }

func (f *credentialFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.cert, "cert", "", "our certificate, a PEM `FILE`")
	c.Flags().StringVar(&f.key, "key", "", "its private key, a PEM `FILE`")
	c.Flags().StringVar(&f.ca, "ca", "", "the authorities that peers' certificates must lead to, a PEM `FILE`")
}

func (f *credentialFlags) load() (*coap.Credentials, error) {
	if f.cert == "" || f.key == "" || f.ca == "" {
		return nil, fmt.Errorf("%w: --cert, --key and --ca are needed", errUsage)
	}
	return coap.LoadCredentials(coap.CredentialsConfig{CertFile: f.cert, KeyFile: f.key, CAFile: f.ca})
}

// serverFlags are the flags of server.
type serverFlags struct {
	files     credentialFlags
	dtls, tls []string
	scenario  string
	journal   string
	cfg       ServerConfig
}

func (t *tool) serverCommand() *cobra.Command {
	var f serverFlags
	c := &cobra.Command{
		Use:   "server",
		Short: "Run a simulated DOTS server with a simulated mitigator, until Ctrl-C",
		Args:  noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			return t.serve(c.Context(), f)
		},
	}
	f.files.add(c)
	c.Flags().StringSliceVar(&f.dtls, "listen", nil, "`HOST:PORT` for DTLS; may be repeated")
	c.Flags().StringSliceVar(&f.tls, "listen-tls", nil, "`HOST:PORT` for TLS; may be repeated")
	c.Flags().StringVar(&f.cfg.Profile, "profile", "", "the only dialect to speak: rfc9132 or draft04 (default: both)")
	c.Flags().StringVar(&f.scenario, "scenario", "", "`FILE` that says what the mitigator does (default: status 1, 2 after 2 s, 3 after 10 min)")
	c.Flags().StringVar(&f.journal, "journal", "", "`FILE` that gets a line of JSON for every request; - is the standard output")
	c.Flags().DurationVar(&f.cfg.Terminating, "terminating", 0, "how long a withdrawn mitigation is terminating (default 5s)")
	c.Flags().DurationVar(&f.cfg.Heartbeat, "heartbeat", 0, "interval of the server's heartbeats (default 30s)")
	return c
}

func (t *tool) serve(ctx context.Context, f serverFlags) error {
	for _, a := range f.dtls {
		f.cfg.Listeners = append(f.cfg.Listeners, Listener{Network: coap.NetworkUDP, Address: a})
	}
	for _, a := range f.tls {
		f.cfg.Listeners = append(f.cfg.Listeners, Listener{Network: coap.NetworkTCP, Address: a})
	}
	if len(f.cfg.Listeners) == 0 {
		return fmt.Errorf("%w: nowhere to listen: --listen or --listen-tls is needed", errUsage)
	}
	var err error
	if f.cfg.Credentials, err = f.files.load(); err != nil {
		return err
	}
	if f.scenario != "" {
		if f.cfg.Scenario, err = ReadScenario(f.scenario); err != nil {
			return err
		}
	}
	journal, closeJournal, err := t.openJournal(f.journal)
	if err != nil {
		return err
	}
	if journal != nil {
		f.cfg.Record = func(e Entry) { journal.Write(e) }
	}
	server, err := NewServer(f.cfg)
	if err != nil {
		return errors.Join(err, closeJournal())
	}
	for i, a := range server.Addrs() {
		say(t.io.Err, "dotslab: listening on %v over %s\n", a, transportName(f.cfg.Listeners[i].Network))
	}
	err = server.Run(ctx)
	if journal != nil {
		err = errors.Join(err, journal.Err())
	}
	return errors.Join(err, closeJournal())
}

func transportName(network string) string {
	if network == coap.NetworkTCP {
		return "TLS"
	}
	return "DTLS"
}

// openJournal opens a journal to append to; nil where there is no name.
func (t *tool) openJournal(name string) (*Journal, func() error, error) {
	nothing := func() error { return nil }
	switch name {
	case "":
		return nil, nothing, nil
	case "-":
		return NewJournal(t.io.Out), nothing, nil
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, nothing, fmt.Errorf("opening the journal: %w", err)
	}
	return NewJournal(f), f.Close, nil
}
