package ctl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
)

// tool is what the commands share.
type tool struct {
	cfg     Config
	timeout time.Duration
	output  string
	state   string
	version string
	ran     bool // a command began: what fails from then on is no wrong use of cobra's
	out     io.Writer
	err     io.Writer
}

// IO is where a program writes.
type IO struct {
	// Out gets the answers, Err everything else. Required.
	Out, Err io.Writer
}

// Main runs dotsctl with the arguments after the program's name and returns its exit code: 0 for 2.xx, 4 for 4.xx, 5 for
// 5.xx, 3 without a session or an answer, 2 for a wrong use, 1 for a failure of our own. It returns soon after ctx ends.
func Main(ctx context.Context, args []string, version string, to IO) int {
	t := &tool{version: version, out: to.Out, err: to.Err}
	root := t.command()
	root.SetArgs(args)
	root.SetOut(to.Out)
	root.SetErr(to.Err)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return ExitOK
	}
	if !t.ran && !errors.Is(err, ErrUsage) {
		err = fmt.Errorf("%w: %w", ErrUsage, err)
	}
	t.note("%v", err)
	return ExitCode(err)
}

func (t *tool) command() *cobra.Command {
	root := &cobra.Command{
		Use:   "dotsctl",
		Short: "Ask a DOTS server for mitigations",
		Long: "dotsctl is a DOTS client (RFC 9132) for detectors, scripts and people.\n\n" +
			"It exits 0 for success (2.xx), 4 when the request was refused (4.xx), 5 when the server failed (5.xx),\n" +
			"3 without a session or an answer, 2 for a wrong use and 1 for a failure of its own.",
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       t.version,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			t.ran = true
			if t.output != "text" && t.output != "json" {
				return fmt.Errorf("%w: unknown output %q: text or json", ErrUsage, t.output)
			}
			return nil
		},
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	f := root.PersistentFlags()
	f.StringVar(&t.cfg.Server, "server", "127.0.0.1:4646", "the server's `HOST:PORT`")
	f.StringVar(&t.cfg.ServerName, "server-name", "", "name that the server's certificate must have (default: the host of --server)")
	f.StringVar(&t.cfg.Cert, "cert", "", "our certificate, a PEM `FILE`")
	f.StringVar(&t.cfg.Key, "key", "", "its private key, a PEM `FILE`")
	f.StringVar(&t.cfg.CA, "ca", "", "the authorities that the server's certificate must lead to, a PEM `FILE`")
	f.StringVar(&t.cfg.PSKIdentity, "psk-identity", "", "identity of a pre-shared key, in place of a certificate; DTLS only")
	f.StringVar(&t.cfg.PSKFile, "psk-file", "", "`FILE` of pre-shared keys, a line IDENTITY:HEXKEY each")
	f.StringVar(&t.cfg.Transport, "transport", TransportAuto, "auto, dtls or tls; auto is DTLS, and TLS besides after 2 s")
	f.StringVar(&t.cfg.Profile, "profile", "rfc9132", "the dialect: rfc9132 or draft04")
	f.StringVar(&t.cfg.CUID, "cuid", "", "our identifier (default: from the certificate's key)")
	f.DurationVar(&t.cfg.Heartbeat, "heartbeat", defaultInterval, "interval of our heartbeats while a session is held")
	f.DurationVar(&t.timeout, "timeout", 30*time.Second, "how long to wait for a session, and for each answer")
	f.StringVar(&t.state, "state", "", "`FILE` that keeps the largest mid in use, for mitigate without --mid")
	f.StringVarP(&t.output, "output", "o", "text", "text or json, one object a line")
	root.AddCommand(t.mitigateCommand(), t.getCommand(), t.watchCommand(), t.withdrawCommand(), t.efficacyCommand(),
		t.configCommand(), t.pingCommand())
	return root
}

// open makes a session for a command.
func (t *tool) open(ctx context.Context, use func(context.Context, *Conn) error) error {
	return Open(ctx, t.cfg, t.timeout, use)
}

// waiting is a context for one answer.
func (t *tool) waiting(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, t.timeout)
}

// note tells the user something that is no answer.
func (t *tool) note(format string, args ...any) {
	_, _ = fmt.Fprintln(t.err, "dotsctl:", Clean(fmt.Sprintf(format, args...))) // nobody is left to be told
}
