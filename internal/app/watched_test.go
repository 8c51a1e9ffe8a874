package app

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/internal/config"
)

// TestTranslationWatch holds that files are read once for each change, and not while somebody writes.
func TestTranslationWatch(t *testing.T) {
	first, second := &inForce{}, &inForce{}
	at := func(n int) []stamp { return []stamp{{int64(n), time.Unix(int64(n), 0)}} }
	w := translationWatch{of: first, seen: at(1)}
	for i, look := range []struct {
		n    *inForce
		now  []stamp
		want bool
		read bool
	}{
		{first, at(1), false, false},
		{first, at(2), false, false}, // it grows
		{first, at(3), false, false},
		{first, at(3), true, false}, // the core was busy
		{first, at(3), true, true},
		{first, at(3), false, false},
		{second, at(3), true, true}, // a reload
		{second, at(3), false, false},
		{second, at(0), false, false}, // it is being replaced
		{second, at(3), false, false},
		{first, nil, false, false}, // there is none any more
		{second, nil, false, false},
	} {
		if got := w.due(look.n, look.now); got != look.want {
			t.Errorf("look %d: due %v", i, got)
		}
		if look.read {
			w.done(look.n, look.now)
		}
	}
}

// TestWebhookSecret holds that a reload takes a new secret into use.
func TestWebhookSecret(t *testing.T) {
	a := &App{cfg: &config.Config{NodeID: "gw"}}
	file := filepath.Join(t.TempDir(), "secret")
	print := func(secret string) string {
		t.Helper()
		if err := os.WriteFile(file, []byte(secret), 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := a.newLocal(config.Mitigator{Name: "m", Webhook: &config.Webhook{Hook: config.Hook{URL: "https://scrub.example/"}, SecretFile: file}})
		if err != nil {
			t.Fatal(err)
		}
		return l.link.Fingerprint
	}
	if first := print("the first secret of all"); print("the second secret of all") == first || print("the first secret of all") != first {
		t.Error("the print does not follow the secret")
	}
}
