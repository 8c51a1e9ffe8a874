package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Mitigator is a local mitigator: one of its drivers is set.
type Mitigator struct {
	Name        string
	StatusEvery time.Duration // between two questions how its mitigations fare

	Webhook *Webhook
	Command *Command
	BGP     *BGP
}

// Webhook is a mitigator behind a signed webhook.
type Webhook struct {
	Hook
	StatusURL  string // with {id} in it; empty: none
	SecretFile string // signs what is sent
}

// Command is a program that mitigates.
type Command struct {
	Program string // absolute
	Args    []string
	Env     []string // NAME=VALUE
	Timeout time.Duration
}

// Defaults of mitigators.
const (
	defaultWebhookTimeout = 10 * time.Second
	defaultCommandTimeout = 10 * time.Second
	defaultStatusEvery    = 10 * time.Second
)

// mitigators checks the local mitigators.
func (b *builder) mitigators(fs []fileMitigator) []Mitigator {
	var ms []Mitigator
	for i, f := range fs {
		at := fmt.Sprintf("mitigators[%d]", i)
		b.named(at+".name", f.Name)
		m, drivers := Mitigator{Name: f.Name}, 0
		m.StatusEvery = b.duration(at+".status_every", f.StatusEvery, span{defaultStatusEvery, time.Second, time.Hour})
		if f.Webhook != nil {
			m.Webhook, drivers = b.webhook(at+".webhook", *f.Webhook), drivers+1
		}
		if f.Command != nil {
			m.Command, drivers = b.command(at+".command", *f.Command), drivers+1
		}
		if f.BGP != nil {
			m.BGP, drivers = b.bgp(at+".bgp", *f.BGP), drivers+1
		}
		if drivers != 1 {
			b.addf(at, "say in one of them how it is asked", "one of webhook, command and bgp is needed, not %d", drivers)
		}
		ms = append(ms, m)
	}
	return ms
}

func (b *builder) webhook(at string, f fileWebhook) *Webhook {
	h := b.hook(at, fileHook{URL: f.URL, CA: f.CA, Cert: f.Cert, Key: f.Key, Timeout: f.Timeout}, defaultWebhookTimeout)
	w := &Webhook{Hook: *h, StatusURL: f.StatusURL, SecretFile: b.secret(at+".secret_file", f.SecretFile)}
	if f.StatusURL != "" && b.httpAddress(at+".status_url", f.StatusURL) && !strings.Contains(f.StatusURL, "{id}") {
		b.add(at+".status_url", "it does not say of which mitigation", "write {id} in the place of the mitigation's identifier")
	}
	return w
}

func (b *builder) command(at string, f fileCommand) *Command {
	c := &Command{
		Program: b.path(f.Program), Args: f.Args, Env: f.Env,
		Timeout: b.duration(at+".timeout", f.Timeout, span{defaultCommandTimeout, 100 * time.Millisecond, 5 * time.Minute}),
	}
	for i, e := range f.Env {
		if name, _, ok := strings.Cut(e, "="); !ok || name == "" || strings.ContainsRune(e, 0) {
			b.addf(fmt.Sprintf("%s.env[%d]", at, i), "write NAME=VALUE", "%q is no variable", e)
		}
	}
	if f.Program == "" {
		b.add(at+".program", missing, "name the program that is run for each change")
		return c
	}
	if abs, err := filepath.Abs(c.Program); err == nil {
		c.Program = abs
	}
	switch info, err := os.Stat(c.Program); {
	case errors.Is(err, os.ErrPermission): // it may be there, for the user that the gateway runs as
	case err != nil:
		b.add(at+".program", cause(err)+" ("+c.Program+")", "check the path, which is relative to the configuration file")
	case info.IsDir() || info.Mode()&0o111 == 0:
		b.add(at+".program", "it cannot be run ("+c.Program+")", "name a program, and make it executable")
	}
	return c
}
