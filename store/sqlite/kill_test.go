package sqlite

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/store"
	"github.com/dotsgate/dotsgate/store/storetest"
)

// The writer's child process is the test binary itself, told so by these variables.
const (
	envWriter = "DOTSGATE_STORE_WRITER" // the path of the store
	envSeed   = "DOTSGATE_STORE_SEED"
	envRounds = "DOTSGATE_KILL_ROUNDS" // how many kills; the default is 20
)

func TestMain(m *testing.M) {
	if file := os.Getenv(envWriter); file != "" {
		writeUntilKilled(file)
	}
	os.Exit(m.Run())
}

// killBatches is the sequence of batches of a seed: the child commits it, the parent knows it.
func killBatches(seed uint64) func() store.Batch {
	rng := rand.New(rand.NewPCG(seed, 1))
	return func() store.Batch {
		b := storetest.RandomBatch(rng, 300)
		b.Reserve = rng.IntN(4) == 0
		return b
	}
}

// writeUntilKilled commits batch after batch and prints the number of each when its commit has returned.
func writeUntilKilled(file string) {
	seed, err := strconv.ParseUint(os.Getenv(envSeed), 10, 64)
	if err != nil {
		panic(err)
	}
	s, recovery, err := Open(context.Background(), Config{Path: file})
	if err != nil || recovery.Cause != nil {
		panic(fmt.Sprint(err, recovery))
	}
	s.journal.limit = 64 << 10 // so that rows are merged all the time
	next := killBatches(seed)
	for n := 1; ; n++ {
		if err := s.Commit(context.Background(), next()); err != nil {
			panic(err)
		}
		fmt.Println(n)
	}
}

// TestKill kills the writer again and again. Nothing acknowledged is lost, nothing deleted is back, and no batch is
// there in part: what is found is exactly the acknowledged batches, or these and the one that was under way.
func TestKill(t *testing.T) {
	rounds := 20
	if text := os.Getenv(envRounds); text != "" {
		var err error
		if rounds, err = strconv.Atoi(text); err != nil {
			t.Fatalf("%s: %v", envRounds, err)
		}
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	file := filepath.Join(t.TempDir(), "gate.db")
	model := map[string]store.Record{}
	total := 0
	for round := range rounds {
		roundSeed := rng.Uint64()
		acked := runWriter(t, file, roundSeed, time.Duration(20+rng.IntN(131))*time.Millisecond)
		total += acked
		next := killBatches(roundSeed)
		for range acked {
			storetest.Apply(model, next())
		}
		found := afterKill(t, file)
		if !sameRecords(found, storetest.Sorted(model)) {
			storetest.Apply(model, next())
		}
		if !sameRecords(found, storetest.Sorted(model)) {
			t.Fatalf("round %d: %d records after %d acknowledged batches are neither these nor one more",
				round, len(found), acked)
		}
	}
	t.Logf("%d kills, %d acknowledged batches", rounds, total)
	if total == 0 {
		t.Error("nothing was ever acknowledged")
	}
}

// runWriter starts the child, kills it the given time after its first acknowledgement, and returns the number of the last.
func runWriter(t *testing.T, file string, seed uint64, life time.Duration) int {
	t.Helper()
	child := exec.Command(os.Args[0], "-test.run=^$")
	child.Env = append(os.Environ(), envWriter+"="+file, envSeed+"="+strconv.FormatUint(seed, 10))
	var stderr strings.Builder
	child.Stderr = &stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	last := 0
	var timer *time.Timer
	for lines := bufio.NewReader(out); ; {
		line, err := lines.ReadString('\n')
		if err != nil { // the end; a line that was cut is no acknowledgement
			break
		}
		if timer == nil {
			timer = time.AfterFunc(life, func() { _ = child.Process.Kill() })
		}
		if last, err = strconv.Atoi(strings.TrimSpace(line)); err != nil {
			t.Errorf("the writer printed %q", line)
		}
	}
	if timer != nil {
		timer.Stop()
	}
	if err := child.Wait(); err == nil || err.Error() != "signal: killed" {
		t.Fatalf("the writer ended by itself: %v\n%s", err, stderr.String())
	}
	return last
}

func afterKill(t *testing.T, file string) []store.Record {
	t.Helper()
	s, recovery := open(t, Config{Path: file})
	if recovery.Cause != nil {
		t.Fatalf("damaged by a kill: %v", recovery.Cause)
	}
	found := storetest.All(t, s)
	if err := s.Close(); err != nil {
		t.Fatalf("closing: %v", err)
	}
	return found
}

func sameRecords(a, b []store.Record) bool {
	return slices.EqualFunc(a, b, func(a, b store.Record) bool {
		return a.Kind == b.Kind && a.Key == b.Key && string(a.Value) == string(b.Value)
	})
}
