package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/internal/config"
)

// expirySoon is how long before its end a certificate or a revocation list is warned of, at each start and reload.
const expirySoon = 14 * 24 * time.Hour

// loaded are credentials that can be read again.
type loaded struct {
	*coap.Credentials
	of   string                            // who uses them, for the log
	from config.Credentials                // where they are from
	psks atomic.Pointer[map[string][]byte] // the pre-shared keys in force
}

// load reads credentials, and keeps them to be read again.
func (a *App) load(of string, c config.Credentials) (*coap.Credentials, error) {
	l := &loaded{of: of, from: c}
	cc := coap.CredentialsConfig{CertFile: c.Cert, KeyFile: c.Key, CAFile: c.CA, CRLFile: c.CRL, PSKIdentity: c.PSKIdentity, AllowPlainPSK: c.AllowPlainPSK}
	if c.PSKs != nil {
		l.psks.Store(&c.PSKs)
		cc.PSKs = func(identity string) ([]byte, bool) {
			key, ok := (*l.psks.Load())[identity]
			return key, ok
		}
	}
	var err error
	if l.Credentials, err = coap.LoadCredentials(cc); err != nil {
		return nil, fmt.Errorf("credentials of %s: %w", of, err)
	}
	a.credentials = append(a.credentials, l)
	a.tellExpiry(l)
	return l.Credentials, nil
}

// tellExpiry logs how long credentials are good for.
func (a *App) tellExpiry(l *loaded) {
	for _, x := range []struct {
		what string
		at   time.Time
	}{{"certificate", l.NotAfter()}, {"revocation list", l.NextCRLUpdate()}} {
		switch left := time.Until(x.at); {
		case x.at.IsZero():
		case left < 0:
			a.log.Error("credentials have expired", "of", l.of, "what", x.what, "at", x.at)
		case left < expirySoon:
			a.log.Warn("credentials expire soon", "of", l.of, "what", x.what, "at", x.at)
		default:
			a.log.Info("credentials read", "of", l.of, "what", x.what, "until", x.at)
		}
	}
}

// Reload reads certificates, revocation lists and pre-shared keys again. Live sessions go on; new ones use what is new. Where
// new files are bad the old ones stay in force, each set for itself.
func (a *App) Reload() error {
	var errs []error
	for _, l := range a.credentials {
		if err := l.reload(); err != nil {
			errs = append(errs, fmt.Errorf("credentials of %s: %w", l.of, err))
			continue
		}
		a.tellExpiry(l)
	}
	return errors.Join(errs...)
}

// reload reads the pre-shared keys first, and puts them in force only where the rest is good too.
func (l *loaded) reload() error {
	var keys map[string][]byte
	if l.from.PSKFile != "" {
		var err error
		if keys, err = config.ReadPSKs(l.from.PSKFile); err != nil {
			return err
		}
		if id := l.from.PSKIdentity; id != "" && keys[id] == nil {
			return fmt.Errorf("%s has no key for our own identity %q", l.from.PSKFile, id)
		}
	}
	if err := l.Credentials.Reload(); err != nil {
		return err
	}
	if keys != nil {
		l.psks.Store(&keys)
	}
	return nil
}

// ReloadOn reloads each time that a signal comes in, until ctx ends.
func (a *App) ReloadOn(ctx context.Context, signals <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-signals:
		}
		if err := a.Reload(); err != nil {
			a.log.Error("reloading credentials failed, the old ones stay in force", "error", err.Error())
			continue
		}
		a.log.Info("credentials reloaded; other settings take effect after a restart")
	}
}
