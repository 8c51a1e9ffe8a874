package gateway

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/dotsgate/dotsgate/store"
)

// TestAside starts a gateway on a store with records that it cannot use: it says so, leaves them where they are and goes on.
//
// RFC 8811, Section 3.1: mitigations survive our restart.
func TestAside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := store.NewMemory()
		bad := store.Batch{Records: []store.Record{
			{Kind: kindMitigation, Key: "a" + keySep + "cuid-a" + keySep + "7", Value: []byte("{")},
			{Kind: kindLeg, Key: "one", Value: []byte("{}")},
			{Kind: kindCounter, Key: "one", Value: []byte("{}")},
			{Kind: "future", Key: "made", Value: []byte("{}")},
		}}
		if err := disk.Commit(t.Context(), bad); err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		w := newWorld(t, disk, func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
		w.put(1, "192.0.2.1/32")
		synctest.Wait()
		w.stop()
		left := map[identity]bool{}
		if err := disk.Load(t.Context(), func(r store.Record) error { left[identity{r.Kind, r.Key}] = true; return nil }); err != nil {
			t.Fatal(err)
		}
		for _, r := range bad.Records {
			if !left[identity{r.Kind, r.Key}] {
				t.Errorf("%s %q is deleted", r.Kind, r.Key)
			}
		}
		if !left[identity{kindMitigation, "a" + keySep + "cuid-a" + keySep + "1"}] {
			t.Error("the new mitigation was not stored")
		}
		for text, want := range map[string]int{"level=ERROR msg=\"stored record cannot be used": len(bad.Records), "records=4": 1, "kind=future key=made": 1} {
			if got := strings.Count(log.String(), text); got != want {
				t.Errorf("%q is logged %d times, want %d:\n%s", text, got, want, log.String())
			}
		}
	})
}
