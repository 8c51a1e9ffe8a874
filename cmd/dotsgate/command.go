package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/dotsgate/dotsgate/internal/admin"
	"github.com/dotsgate/dotsgate/internal/app"
	"github.com/dotsgate/dotsgate/internal/config"
)

// orderCommands are what an operator tells a running gateway to do.
func orderCommands() []*cobra.Command {
	return []*cobra.Command{reloadCommand(), upgradeCommand(), drainCommand(), redirectCommand(), recurseCommand(), policyCommand()}
}

// socketFlags adds the flags that say where the gateway answers, and returns what reads them.
func socketFlags(c *cobra.Command) func() (*admin.Client, error) {
	socket := c.Flags().String("socket", config.DefaultSocket, "the gateway's admin socket")
	file := c.Flags().StringP("config", "c", "", "configuration file of the gateway, which names its admin socket; in place of --socket")
	return func() (*admin.Client, error) {
		if *file == "" {
			return admin.NewClient(*socket), nil
		}
		if c.Flags().Changed("socket") {
			return nil, fmt.Errorf("-c and --socket both name the socket: use one of them: %w", errUsage)
		}
		path, err := socketOf(*file)
		if err != nil {
			return nil, err
		}
		return admin.NewClient(path), nil
	}
}

func reloadCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "reload", Short: "Have the gateway read its configuration again", Args: cobra.NoArgs,
		Long: "Have the gateway read its configuration, certificates, revocation lists and pre-shared keys again, as SIGHUP does. " +
			"Exits 2 when the file is wrong, with a line FILE:LINE:COLUMN: cause; fix for each mistake: then nothing has changed.",
	}
	gateway := socketFlags(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		g, err := gateway()
		if err != nil {
			return err
		}
		return g.Reload(c.Context())
	}
	return c
}

func upgradeCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "upgrade", Short: "Have the gateway hand over to a new process of its program", Args: cobra.NoArgs,
		Long: "Have the gateway hand over to a new process of its program, as after an update: sockets, and the sessions of clients over DTLS, go on there; " +
			"clients over TLS are told good-bye and come back. Exits 2 when the new program does not take the configuration: then nothing has changed.",
	}
	u := admin.Upgrade{}
	c.Flags().StringVar(&u.Binary, "binary", "", "the program; empty: the file that the gateway was started from")
	gateway := socketFlags(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		g, err := gateway()
		if err != nil {
			return err
		}
		if u.Binary != "" {
			if u.Binary, err = filepath.Abs(u.Binary); err != nil {
				return fmt.Errorf("finding the program: %w", err)
			}
		}
		return g.Upgrade(c.Context(), u)
	}
	return c
}

func drainCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "drain UPLINK|--self", Short: "Empty an uplink, or this gateway, before it is taken away", Args: cobra.MaximumNArgs(1),
		Long: "Empty an uplink: it is asked for nothing new, and what stands there goes on at others, if there are any. " +
			"This is kept over restarts, until --off. A server of a farm is UPLINK/SERVER. " +
			"With --self, empty this gateway: its clients are sent to another server, as by: dotsgate redirect --all",
	}
	off := c.Flags().Bool("off", false, "use it again")
	self := c.Flags().Bool("self", false, "this gateway; needs --to")
	to := redirectFlags(c)
	gateway := socketFlags(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		if *self != (len(args) == 0) || !*self && (to.to != "" || c.Flags().Changed("ttl")) {
			return fmt.Errorf("name an uplink, or --self with --to NAME: %w", errUsage)
		}
		g, err := gateway()
		if err != nil {
			return err
		}
		if !*self {
			return g.Drain(c.Context(), args[0], !*off)
		}
		r, err := to.redirection("", *off)
		if err != nil {
			return err
		}
		return g.Redirect(c.Context(), r)
	}
	return c
}

func recurseCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "recurse CLIENT MID", Short: "Hand a mitigation on from the local mitigators to an uplink", Args: cobra.ExactArgs(2),
		Long: "Hand a mitigation of a client on to an uplink, until the client withdraws it or --off hands it back. " +
			"Clients, cuids and mids are shown by: dotsgate mitigations",
	}
	r := admin.Recursion{}
	c.Flags().StringVar(&r.Uplink, "uplink", "", "the uplink or farm where it goes; empty: those of its domain, as they come")
	c.Flags().StringVar(&r.CUID, "cuid", "", "the client's cuid, where several have that mid")
	c.Flags().StringVar(&r.CDID, "cdid", "", "the client's cdid, where several have that mid")
	c.Flags().BoolVar(&r.Off, "off", false, "the domain's rules decide again")
	gateway := socketFlags(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		mid, err := strconv.ParseUint(args[1], 10, 32)
		if err != nil {
			return fmt.Errorf("%q is no mid: %w", args[1], errUsage)
		}
		if r.Off && r.Uplink != "" {
			return fmt.Errorf("--off hands it back, --uplink hands it on: use one of them: %w", errUsage)
		}
		g, err := gateway()
		if err != nil {
			return err
		}
		r.Client, r.MID = args[0], uint32(mid)
		return g.Recurse(c.Context(), r)
	}
	return c
}

// policyCommand holds what asks about the policy.
func policyCommand() *cobra.Command {
	c := &cobra.Command{Use: "policy", Short: "Ask what the policy says", Args: cobra.NoArgs}
	c.RunE = func(*cobra.Command, []string) error {
		return fmt.Errorf("say what to ask: dotsgate policy test: %w", errUsage)
	}
	c.AddCommand(policyTestCommand())
	return c
}

func policyTestCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "test", Short: "Explain step by step what would become of a request", Args: cobra.NoArgs,
		Long: "Explain step by step what would become of a request, without making it: of the running gateway, with all that stands there, or with " +
			"--config of a file that no gateway need run with. Exits 0 when it is allowed and 1 when it is refused.",
	}
	q := admin.Question{}
	f := c.Flags()
	f.StringVar(&q.Client, "client", "", "client entry that asks (required)")
	f.StringVar(&q.CUID, "cuid", "", "its cuid")
	f.StringSliceVar(&q.Prefixes, "prefix", nil, "target prefix; may be given several times, as the next ones")
	f.StringSliceVar(&q.FQDNs, "fqdn", nil, "target name")
	f.StringSliceVar(&q.URIs, "uri", nil, "target URI")
	f.StringSliceVar(&q.Aliases, "alias", nil, "target alias")
	f.StringSliceVar(&q.Ports, "port", nil, "target port, or a range such as 8000-8080")
	f.IntSliceVar(&q.Protocols, "protocol", nil, "target protocol, by its number")
	f.Int64Var(&q.Lifetime, "lifetime", 3600, "lifetime in seconds; -1: indefinite")
	f.BoolVar(&q.OnSignalLoss, "on-signal-loss", false, "the mitigation is to begin when the client is lost")
	format := f.StringP("output", "o", admin.FormatTable, "output: table or json")
	socket := f.String("socket", config.DefaultSocket, "the running gateway's admin socket")
	file := f.StringP("config", "c", "", "ask about this configuration file, without a gateway; in place of --socket")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := checkFormat(*format); err != nil {
			return err
		}
		if q.Client == "" {
			return fmt.Errorf("say who asks: --client NAME: %w", errUsage)
		}
		if *file != "" && f.Changed("socket") {
			return fmt.Errorf("-c asks about a file, --socket a gateway: use one of them: %w", errUsage)
		}
		e, err := explain(c, *file, *socket, q)
		if err != nil {
			return err
		}
		if err := admin.WriteExplanation(c.OutOrStdout(), *format, e); err != nil {
			return err
		}
		if !e.Allowed {
			return errRefused
		}
		return nil
	}
	return c
}

// errRefused says, beside the explanation, that a request would be refused.
var errRefused = errors.New("the request would be refused")

// explain asks a file, or the gateway behind a socket.
func explain(c *cobra.Command, file, socket string, q admin.Question) (admin.Explanation, error) {
	if file == "" {
		return admin.NewClient(socket).Explain(c.Context(), q)
	}
	cfg, err := config.Load(file)
	if err != nil {
		return admin.Explanation{}, err
	}
	return app.Explain(c.Context(), cfg, q)
}

// checkFormat refuses a format of output that there is not.
func checkFormat(format string) error {
	if format != admin.FormatTable && format != admin.FormatJSON {
		return fmt.Errorf("-o %q: use %s or %s: %w", format, admin.FormatTable, admin.FormatJSON, errUsage)
	}
	return nil
}
