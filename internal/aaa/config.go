package aaa

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// withDefaults fills in what was left out.
func (c Config) withDefaults() Config {
	c.Fail = cmp.Or(c.Fail, FailClosed)
	c.Wait = cmp.Or(c.Wait, DefaultWait)
	c.Timeout = cmp.Or(c.Timeout, DefaultTimeout)
	c.AllowTTL = cmp.Or(c.AllowTTL, DefaultAllowTTL)
	c.DenyTTL = cmp.Or(c.DenyTTL, DefaultDenyTTL)
	c.MaxStale = cmp.Or(c.MaxStale, DefaultMaxStale)
	c.CacheSize = cmp.Or(c.CacheSize, DefaultCacheSize)
	c.MaxAsking = cmp.Or(c.MaxAsking, DefaultMaxAsking)
	if c.Meter == nil {
		c.Meter = noMeter{}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// check returns every fault of a config whose defaults are filled in.
func (c Config) check() error {
	var faults []error
	if (c.RADIUS == nil) == (c.HTTP == nil) {
		faults = append(faults, errors.New("either RADIUS or the HTTP hook is required"))
	}
	if c.Fail != FailClosed && c.Fail != FailLastKnown {
		faults = append(faults, fmt.Errorf("unknown fail mode %q", c.Fail))
	}
	if c.Wait < 0 || c.Timeout < 0 || c.MaxStale < 0 {
		faults = append(faults, errors.New("a time is negative"))
	}
	if c.CacheSize < 0 || c.MaxAsking < 0 {
		faults = append(faults, errors.New("a limit is negative"))
	}
	return errors.Join(faults...)
}

// readSecret reads a shared secret: all of the file but the line's end.
func readSecret(file string) ([]byte, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the shared secret: %w", err)
	}
	secret := strings.TrimRight(string(b), "\r\n")
	if secret == "" || strings.TrimSpace(secret) != secret {
		return nil, fmt.Errorf("reading the shared secret: %s is empty, or begins or ends with a space", file)
	}
	return []byte(secret), nil
}

// tidy makes a text of the server fit for a line in a log.
func tidy(s string) string {
	s = strings.TrimSpace(strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s))
	if len(s) <= MaxReason {
		return s
	}
	for cut := MaxReason; ; cut-- {
		if utf8.RuneStart(s[cut]) {
			return strings.TrimSpace(s[:cut])
		}
	}
}
