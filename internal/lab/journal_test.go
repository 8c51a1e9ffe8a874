package lab

import (
	"bytes"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
	"github.com/google/go-cmp/cmp"
)

func TestJournalRoundTrip(t *testing.T) {
	var entries []Entry
	for i, req := range []wire.Request{
		{Op: wire.PutMitigation, CUID: "c", CDID: "d", MID: dots.Some[uint32](0), Mitigation: dots.Request{
			Target:   dots.Target{FQDNs: []string{"a.example"}, URIs: []string{"https://a.example/"}, Aliases: []string{"x"}},
			Lifetime: dots.Some(dots.Indefinite), OnSignalLoss: true, Attack: dots.AttackMitigated, Optional: []dots.Raw{{Key: 200}},
		}},
		{Op: wire.PutConfig, SID: dots.Some[uint64](5), Config: dots.SessionConfig{
			Idle: dots.ConfigSet{HeartbeatInterval: dots.Bounds[uint16]{Current: dots.Some[uint16](0)}},
		}},
		{Op: wire.PutHeartbeat},
		{Op: wire.DeleteMitigation, CUID: "c", MID: dots.Some[uint32](7)},
	} {
		e := Entry{Time: noon().Add(time.Duration(i)), Method: "PUT", Path: "/x\u202e"}
		e.decoded(req)
		e.answered(wire.Response{Code: dots.CodeContent, Diagnostic: "d", Reports: make([]dots.Report, 2)})
		entries = append(entries, e)
	}
	var file bytes.Buffer
	j := NewJournal(&file)
	for _, e := range entries {
		j.Write(e)
	}
	if n := strings.Count(file.String(), "\n"); n != len(entries) || j.Err() != nil {
		t.Errorf("%d lines, %v", n, j.Err())
	}
	got, err := ReadJournal(strings.NewReader(file.String() + `{"time":"2026-01-0`))
	if err != nil {
		t.Fatalf("ReadJournal() = %v", err)
	}
	if diff := cmp.Diff(entries, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if b := got[0].Body; b.Attack != 2 || !b.OnSignalLoss || *b.Lifetime != -1 || len(b.Optional) != 1 || *got[0].MID != 0 {
		t.Errorf("body %+v", b)
	}
	if h := got[1].Body.Heartbeat; h == nil || *h != 0 {
		t.Errorf("heartbeat interval %v, want 0", h)
	}
	if _, err := ReadJournal(strings.NewReader("{]")); err == nil {
		t.Error("a broken journal was read")
	}
}

// failing writes so many times.
type failing struct{ left int }

func (f *failing) Write(b []byte) (int, error) {
	if f.left--; f.left < 0 {
		return 0, errors.New("disk full")
	}
	return len(b), nil
}

func TestJournalTellsOfItsEnd(t *testing.T) {
	f := &failing{left: 3}
	j := NewJournal(f)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() { j.Write(Entry{}) })
	}
	group.Wait()
	if err := j.Err(); err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("Err() = %v", err)
	}
	if f.left != -1 {
		t.Errorf("written on after the error: %d", f.left)
	}
}
