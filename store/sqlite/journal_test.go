package sqlite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dotsgate/dotsgate/store"
	"github.com/dotsgate/dotsgate/store/storetest"
)

// TestRowsHoldWhatWasPacked: every record once, in its order, in rows of bounded size.
func TestRowsHoldWhatWasPacked(t *testing.T) {
	var records []store.Record
	for i := range 3 * rowRecords {
		r := store.Record{Kind: "leg", Key: fmt.Sprintf("\x00%d", i), Value: bytes.Repeat([]byte{1}, i%700)}
		if i%7 == 0 {
			r.Value = nil
		}
		records = append(records, r)
	}
	records = append(records, store.Record{Kind: "a-b", Key: "large", Value: make([]byte, 2*rowBytes)})
	j := newJournal()
	j.next = 41
	n := 0
	for i, r := range j.pack(records) {
		if err := r.check(); err != nil {
			t.Fatal(err)
		}
		if r.number != 41+uint64(i) || len(r.blob) > 4*rowBytes {
			t.Errorf("row %d has number %d and %d bytes", i, r.number, len(r.blob))
		}
		for at := checksumBytes; at < len(r.blob); n++ {
			e, end, _ := r.entry(at)
			kind, key := identity(string(e.id))
			want := records[n]
			if kind != want.Kind || key != want.Key || e.deleted != (want.Value == nil) || !bytes.Equal(e.value, want.Value) {
				t.Fatalf("record %d came back as %s %q %v", n, kind, key, e.deleted)
			}
			at = end
		}
	}
	if n != len(records) {
		t.Errorf("%d records came back, want %d", n, len(records))
	}
}

// FuzzRow: whatever a row's bytes are, they are refused or can be read.
func FuzzRow(f *testing.F) {
	j := newJournal()
	good := j.pack([]store.Record{{Kind: "leg", Key: "a", Value: []byte("1")}, {Kind: "leg", Key: "b"}})[0].blob
	f.Add(good)
	f.Add([]byte{0, 0, 0, 0})
	f.Add([]byte{1, 2, 3, 4, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Fuzz(func(t *testing.T, blob []byte) {
		if len(blob) < checksumBytes {
			blob = make([]byte, checksumBytes)
		}
		sum := checksum(blob)
		r := row{1, append([]byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)}, blob[checksumBytes:]...)}
		if r.check() != nil {
			return
		}
		j := newJournal()
		j.add([]row{r})
		if _, entries := j.all(); len(entries) != len(j.sorted()) {
			t.Errorf("%d entries to merge, %d to show", len(entries), len(j.sorted()))
		}
	})
}

// small opens a store whose journal is merged after some kilobytes.
func small(t *testing.T, file string) *Store {
	t.Helper()
	s, recovery := open(t, Config{Path: file, Reserve: -1})
	if recovery.Cause != nil {
		t.Fatal(recovery.Cause)
	}
	s.journal.limit = 16 << 10
	return s
}

// TestMergingChangesNothingThatIsSeen: random batches against a model, with restarts, while rows are merged all the time.
func TestMergingChangesNothingThatIsSeen(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	file := filepath.Join(t.TempDir(), "gate.db")
	s := small(t, file)
	model := map[string]store.Record{}
	merged := 0
	for n := range 300 {
		b := storetest.RandomBatch(rng, 60)
		if err := s.Commit(context.Background(), b); err != nil {
			t.Fatal(err)
		}
		storetest.Apply(model, b)
		if len(s.journal.rows) > 0 {
			merged = int(s.journal.rows[0].number) - 1
		}
		if n%10 == 0 && !sameRecords(storetest.All(t, s), storetest.Sorted(model)) {
			t.Fatalf("batch %d: the store differs from the model", n)
		}
		if n%50 == 0 {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = small(t, file)
		}
	}
	if merged == 0 {
		t.Error("nothing was ever merged")
	}
}

// TestJournalIsBounded, however many records are new, and what it was too large for is all in the table.
func TestJournalIsBounded(t *testing.T) {
	s := small(t, filepath.Join(t.TempDir(), "gate.db"))
	value, most := bytes.Repeat([]byte("v"), 300), 0
	for n := range 200 {
		var b store.Batch
		for i := range 20 {
			b.Records = append(b.Records, store.Record{Kind: "leg", Key: fmt.Sprintf("%04d-%02d", n, i), Value: value})
		}
		if err := s.Commit(context.Background(), b); err != nil {
			t.Fatal(err)
		}
		most = max(most, s.journal.bytes)
	}
	if most > s.journal.limit+8<<10 {
		t.Errorf("the journal grew to %d bytes, the limit is %d", most, s.journal.limit)
	}
	if got := len(storetest.All(t, s)); got != 4000 {
		t.Errorf("%d records, want 4000", got)
	}
	if len(s.journal.newest) > 200 {
		t.Errorf("the journal knows %d records", len(s.journal.newest))
	}
}

// TestWhatIsWrittenAgainIsMergedRarely: of records that are refreshed only what is newest when its row is merged goes to the table.
func TestWhatIsWrittenAgainIsMergedRarely(t *testing.T) {
	s := small(t, filepath.Join(t.TempDir(), "gate.db"))
	_, err := s.conn.ExecContext(context.Background(), `CREATE TEMP TABLE seen (n); `+
		`CREATE TEMP TRIGGER count AFTER INSERT ON main.records BEGIN INSERT INTO seen VALUES (1); END; `+
		`CREATE TEMP TRIGGER again AFTER UPDATE ON main.records BEGIN INSERT INTO seen VALUES (1); END`)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 500 {
		put(t, s, fmt.Sprint(n%8), fmt.Sprint((n+1)%8), strings.Repeat("long", 20))
	}
	var merged int
	if err := s.conn.QueryRowContext(context.Background(), "SELECT count(*) FROM seen").Scan(&merged); err != nil {
		t.Fatal(err)
	}
	if first := s.journal.rows[0].number; first == 1 || merged > 20 {
		t.Errorf("rows up to %d are merged, and %d records of 1500 went to the table", first-1, merged)
	}
}

// TestFailedMergeLeavesNothing: the batch that merges is not kept either, and what was committed before is still there.
func TestFailedMergeLeavesNothing(t *testing.T) {
	s := small(t, filepath.Join(t.TempDir(), "gate.db"))
	_, err := s.conn.ExecContext(context.Background(), `CREATE TEMP TRIGGER refuse BEFORE INSERT ON main.records
		BEGIN SELECT RAISE(ABORT, 'refused by the test'); END`)
	if err != nil {
		t.Fatal(err)
	}
	kept := 0
	for err = nil; err == nil; kept++ {
		err = s.Commit(context.Background(), store.Batch{Records: []store.Record{
			{Kind: "leg", Key: fmt.Sprintf("%04d", kept), Value: make([]byte, 500)},
		}})
	}
	kept--
	if !strings.Contains(err.Error(), "refused by the test") {
		t.Fatal(err)
	}
	if got := len(storetest.All(t, s)); got != kept || kept < 30 {
		t.Errorf("%d records, want %d", got, kept)
	}
	if _, err = s.conn.ExecContext(context.Background(), "DROP TRIGGER temp.refuse"); err != nil {
		t.Fatal(err)
	}
	put(t, s, "new")
	if got := len(storetest.All(t, s)); got != kept+1 {
		t.Errorf("afterwards %d records, want %d", got, kept+1)
	}
}

// TestDamagedJournalIsPutAside: a bit that changed in a row, a row that is missing, and one that ends early.
func TestDamagedJournalIsPutAside(t *testing.T) {
	for name, damage := range map[string]string{
		"another bit":   `UPDATE journal SET entries = CAST(replace(entries, CAST('value of b' AS BLOB), CAST('value of c' AS BLOB)) AS BLOB) WHERE number = 2`,
		"missing row":   `DELETE FROM journal WHERE number = 2`,
		"shorter row":   `UPDATE journal SET entries = substr(entries, 1, 9) WHERE number = 3`,
		"no row at all": `UPDATE journal SET entries = x'' WHERE number = 3`,
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "gate.db")
			s, _ := open(t, Config{Path: file, Reserve: -1})
			put(t, s, "a")
			put(t, s, "b")
			put(t, s, "c")
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			execute(t, file, damage)
			s, recovery := open(t, Config{Path: file, Reserve: -1})
			if !errors.Is(recovery.Cause, store.ErrCorrupt) || len(storetest.All(t, s)) != 0 {
				t.Errorf("cause %v, %d records; want ErrCorrupt and none", recovery.Cause, len(storetest.All(t, s)))
			}
		})
	}
}

// TestOverlay: pages of the table with what is newer.
func TestOverlay(t *testing.T) {
	at := func(key, value string) store.Record { return store.Record{Kind: "leg", Key: key, Value: []byte(value)} }
	newer := func(key, value string) entry {
		return entry{id: []byte(identify("leg", key)), value: []byte(value), deleted: value == ""}
	}
	for name, test := range map[string]struct {
		newer []entry
		page  []store.Record
		more  bool
		want  string
		left  int
	}{
		"nothing newer":        {nil, []store.Record{at("a", "1"), at("b", "1")}, false, "a1 b1", 0},
		"nothing in the table": {[]entry{newer("a", "2"), newer("b", "")}, nil, false, "a2", 0},
		"between and instead":  {[]entry{newer("a", "2"), newer("b", "2"), newer("d", "")}, []store.Record{at("b", "1"), at("c", "1"), at("d", "1")}, false, "a2 b2 c1", 0},
		"behind the last":      {[]entry{newer("b", "2"), newer("c", "2")}, []store.Record{at("a", "1")}, false, "a1 b2 c2", 0},
		"on a later page":      {[]entry{newer("b", ""), newer("c", "2")}, []store.Record{at("a", "1"), at("b", "1")}, true, "a1", 1},
	} {
		t.Run(name, func(t *testing.T) {
			left, merged := overlay(test.newer, test.page, test.more)
			var got []string
			for _, r := range merged {
				got = append(got, r.Key+string(r.Value))
			}
			if text := strings.Join(got, " "); text != test.want || len(left) != test.left {
				t.Errorf("got %q and %d left, want %q and %d", text, len(left), test.want, test.left)
			}
		})
	}
}
