package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/store"
	"github.com/dotsgate/dotsgate/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is the two halves of a gateway under test, and its callers.
type world struct {
	t     *testing.T
	gate  *Gateway
	disk  *storetest.Faulty
	stop  func()
	names func(string) ([]netip.Addr, time.Duration, error)

	mu       sync.Mutex
	wants    map[dots.LegKey]dots.Leg
	told     int // wants in all
	changed  []dots.MitigationKey
	activity []Activity
	stated   []int // the wants that there were when the whole set was stated
	answers  []string
	silent   bool // the uplink answers nothing
}

// Want is the uplink: it answers every request at once, unless it is silent.
func (w *world) Want(_ string, legs []dots.Leg) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range legs {
		w.told++
		old, known := w.wants[l.Key]
		w.wants[l.Key] = l
		if w.silent || known && old.Revision == l.Revision {
			continue
		}
		a := dots.LegAnswer{Key: l.Key, Revision: l.Revision, Withdraw: l.Withdraw, Code: dots.CodeCreated}
		if l.Withdraw {
			a.Code = dots.CodeDeleted
		}
		go w.gate.Answered(a)
	}
}

func (w *world) Forget(_ string, keys []dots.LegKey) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, k := range keys {
		delete(w.wants, k)
	}
}

func (w *world) Stated() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stated = append(w.stated, len(w.wants))
}

func (w *world) Changed(k dots.MitigationKey) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.changed = append(w.changed, k)
}

func (w *world) Mitigating(client string, on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.activity = append(w.activity, Activity{client, on})
}

func (w *world) Resolve(_ context.Context, n string) ([]netip.Addr, time.Duration, error) {
	return w.names(n)
}

// newWorld starts a gateway on a store. Call it inside a synctest bubble.
func newWorld(t *testing.T, s store.Store, change func(*Config)) *world {
	t.Helper()
	w := &world{t: t, wants: map[dots.LegKey]dots.Leg{}, disk: storetest.NewFaulty(s)}
	cfg := Config{Core: testCoreConfig(t), Store: w.disk, Resolver: w}
	if change != nil {
		change(&cfg)
	}
	g, err := New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	g.Connect(w, w)
	w.gate = g
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(w.stop)
	g.LinkUp("up")
	synctest.Wait()
	return w
}

// say keeps what a caller was answered, and that it was answered once.
func (w *world) say(label string) func(string, error) {
	once := false
	return func(text string, err error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if once {
			w.t.Errorf("%s was answered twice", label)
		}
		once = true
		if err != nil {
			text = err.Error()
		}
		w.answers = append(w.answers, label+": "+text)
	}
}

func (w *world) put(mid uint32, prefix string) {
	say := w.say(fmt.Sprintf("put %d", mid))
	w.gate.Mitigate(dots.Ask{Client: me, Request: put(mid, prefix), HopLimit: 9}, func(a dots.Answer, err error) { say(a.Code.String(), err) })
}

func (w *world) delete(mid uint32) {
	say := w.say(fmt.Sprintf("delete %d", mid))
	w.gate.Withdraw(dots.MitigationKey{Client: me, MID: mid}, func(err error) { say("2.02", err) })
}

func (w *world) get(mid uint32) {
	say := w.say(fmt.Sprintf("get %d", mid))
	w.gate.Reports(me, dots.Some(mid), func(r []dots.Report, err error) {
		text := ""
		if err == nil {
			text = r[0].Status.String()
		}
		say(text, err)
	})
}

// want compares the answers since the last time, in any order, once everything has come to rest.
func (w *world) want(answers ...string) {
	w.t.Helper()
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	slices.Sort(w.answers)
	slices.Sort(answers)
	if !slices.Equal(w.answers, answers) {
		w.t.Fatalf("answers\n%q, want\n%q", w.answers, answers)
	}
	w.answers = nil
}

func (w *world) wanted() int {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.told
}

var me = dots.Client{Name: "a", CUID: "cuid-a"}

// TestSlowDisk holds a commit back: nothing that rests on it is seen, and nobody else waits for it.
func TestSlowDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, store.NewMemory(), nil)
		w.put(1, "192.0.2.1/32")
		w.want("put 1: 2.01")
		told := w.wanted()

		reached, release := w.disk.BlockCommit(1)
		defer release()
		w.put(2, "192.0.2.2/32")
		<-reached
		w.get(2)
		w.want()
		if n := w.wanted(); n != told {
			t.Fatalf("%d wants before the commit", n-told)
		}
		w.get(1)
		w.delete(77)
		w.want("get 1: in-progress", "delete 77: 2.02")
		before := len(w.changed)
		w.gate.Reported("up", w.cuid(), false, []dots.Report{{MID: 1, Status: dots.StatusMitigated}})
		w.get(1)
		w.want("get 1: mitigated")
		if len(w.changed) != before+1 {
			t.Fatalf("changes %v", w.changed)
		}
		// RFC 9132, Section 4.4.4: a withdrawal is taken in; it is answered when it is durable.
		w.delete(1)
		w.want()
		time.Sleep(time.Minute)
		w.want()
		release()
		synctest.Wait()
		w.mu.Lock()
		defer w.mu.Unlock()
		if len(w.answers) != 3 {
			t.Fatalf("answers %q, want those of put 2, get 2 and delete 1", w.answers)
		}
	})
}

func (w *world) cuid() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	for k := range w.wants {
		return k.CUID
	}
	return ""
}

// TestGroupCommit lets requests pile up behind a commit: they share the next one.
func TestGroupCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, store.NewMemory(), nil)
		w.silent = true
		reached, release := w.disk.BlockCommit(1)
		defer release()
		w.put(1, "192.0.2.1/32")
		<-reached
		before := w.disk.Commits()
		for i := range uint32(50) {
			w.put(10+i, fmt.Sprintf("192.0.2.%d/32", 10+i))
		}
		w.want()
		release()
		synctest.Wait()
		if n := w.disk.Commits() - before; n != 1 {
			t.Fatalf("%d commits for 50 requests, want 1", n)
		}
		time.Sleep(DefaultAnswerWait)
		synctest.Wait()
		w.mu.Lock()
		defer w.mu.Unlock()
		if len(w.answers) != 51 {
			t.Fatalf("%d answers", len(w.answers))
		}
	})
}

// TestFailingDisk answers 5.03 and takes back what could not be stored; a withdrawal still reaches the uplink.
func TestFailingDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := store.NewMemory()
		w := newWorld(t, disk, nil)
		w.put(1, "192.0.2.1/32")
		w.want("put 1: 2.01")
		w.disk.FailAll(errors.New("the disk is gone"))
		told := w.wanted()
		w.put(2, "192.0.2.2/32")
		w.want("put 2: 5.03 cannot store now")
		w.get(2)
		w.want("get 2: 4.04 no such mitigation")
		if n := w.wanted(); n != told {
			t.Fatalf("%d wants that are not durable", n-told)
		}
		w.delete(1)
		w.want("delete 1: 5.03 cannot store now")
		if n := w.wanted(); n != told+1 {
			t.Fatalf("%d wants, want the withdrawal", n-told)
		}
		w.disk.FailAll(nil)
		time.Sleep(2 * retryStore)
		w.stop()
		w = newWorld(t, disk.Reopen(), nil)
		w.get(1)
		w.want("get 1: 4.04 no such mitigation")
	})
}

// logged counts lines of the log.
type logged struct {
	mu    sync.Mutex
	lines map[string]int
}

func (l *logged) Enabled(context.Context, slog.Level) bool { return true }
func (l *logged) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *logged) WithGroup(string) slog.Handler            { return l }
func (l *logged) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines[r.Message]++
	return nil
}

// count is how often a line was written by now.
func (l *logged) count(line string) int {
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines[line]
}

// TestAStoreThatGoesOnFailingIsToldOnceAMinute: what is tried each second must not fill the log of a night.
func TestAStoreThatGoesOnFailingIsToldOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &logged{lines: map[string]int{}}
		w := newWorld(t, store.NewMemory(), func(c *Config) { c.Logger = slog.New(log) })
		for round := range 2 {
			w.put(1, "192.0.2.1/32")
			w.want("put 1: 2.01")
			w.disk.FailAll(errors.New("the disk is gone"))
			w.delete(1)
			w.want("delete 1: 5.03 cannot store now")
			time.Sleep(10*storeLogEvery - time.Second)
			if n := log.count("commit failed"); n != 10*(round+1) {
				t.Errorf("round %d: %d lines of failures in ten minutes, want 10", round, n-10*round)
			}
			w.disk.FailAll(nil)
			time.Sleep(2 * retryStore)
			mid := uint32(5 + round)
			w.put(mid, fmt.Sprintf("192.0.2.%d/32", mid)) // the withdrawal has room of its own, and says nothing of what others have
			w.want(fmt.Sprintf("put %d: 2.01", mid))
			if n := log.count("commits go well again"); n != round+1 {
				t.Errorf("round %d: %d lines of the end", round, n)
			}
			time.Sleep(10 * time.Minute) // until what was withdrawn is gone
		}
	})
}

// fullStore has room for withdrawals only.
type fullStore struct {
	store.Store
	full bool
}

func (f *fullStore) Commit(ctx context.Context, b store.Batch) error {
	if f.full && !b.Reserve {
		return fmt.Errorf("committing: %w", store.ErrFull)
	}
	return f.Store.Commit(ctx, b)
}

// TestFullDisk uses the room that is kept back for withdrawals.
func TestFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := &fullStore{Store: store.NewMemory()}
		log := &logged{lines: map[string]int{}}
		w := newWorld(t, disk, func(c *Config) { c.Logger = slog.New(log) })
		w.put(1, "192.0.2.1/32")
		w.put(2, "192.0.2.2/32")
		w.want("put 1: 2.01", "put 2: 2.01")
		disk.full = true
		w.put(3, "192.0.2.3/32")
		w.want("put 3: 5.03 storage full")
		w.delete(1)
		w.want("delete 1: 2.02")
		if log.count("commits go well again") != 0 {
			t.Error("a withdrawal that had its room was taken for the end of a full disk")
		}
		reached, release := w.disk.BlockCommit(1)
		defer release()
		w.put(4, "192.0.2.4/32")
		<-reached
		w.delete(2) // behind a request that fails
		w.want()
		release()
		w.want("put 4: 5.03 storage full", "delete 2: 2.02")
	})
}

// TestMailboxFull refuses new work quickly and keeps room for what ends attacks.
func TestMailboxFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, store.NewMemory(), func(c *Config) { c.Mailbox = 8 })
		w.put(1, "192.0.2.1/32")
		w.want("put 1: 2.01")
		enter, leave := make(chan struct{}), make(chan struct{})
		go func() {
			if err := w.gate.Look(context.Background(), func(*Core) { close(enter); <-leave }); err != nil {
				t.Error(err)
			}
		}()
		<-enter
		for range 6 {
			w.get(1)
		}
		w.get(1)
		w.put(2, "192.0.2.2/32")
		w.want("get 1: 5.03 busy", "put 2: 5.03 busy")
		w.put(1, "192.0.2.1/32") // a refresh
		w.delete(9)
		w.delete(9)
		w.want("delete 9: 5.03 busy")
		in := make(chan struct{})
		go func() { w.gate.LinkUp("up"); close(in) }()
		synctest.Wait()
		select {
		case <-in:
			t.Fatal("an event of the uplink found room that is not there")
		default:
		}
		close(leave)
		<-in
		synctest.Wait()
		w.mu.Lock()
		defer w.mu.Unlock()
		if len(w.answers) != 8 { // six GETs, a refresh, a withdrawal
			t.Fatalf("answers %q", w.answers)
		}
	})
}

// TestTooMuchOnTheWay refuses what would only wait for a disk that hangs.
func TestTooMuchOnTheWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, store.NewMemory(), func(c *Config) { c.InFlight = 3 })
		w.put(1, "192.0.2.1/32")
		w.want("put 1: 2.01")
		reached, release := w.disk.BlockCommit(1)
		defer release()
		w.put(2, "192.0.2.2/32")
		<-reached
		w.put(3, "192.0.2.3/32")
		w.put(4, "192.0.2.4/32")
		w.put(5, "192.0.2.5/32")
		w.want("put 5: 5.03 busy")
		for range 20 {
			w.get(2)
		}
		w.delete(1)
		synctest.Wait()
		w.mu.Lock()
		n := len(w.answers)
		w.answers = nil
		w.mu.Unlock()
		if n == 0 || n == 20 {
			t.Fatalf("%d of 20 GETs were refused", n)
		}
		release()
		synctest.Wait()
		w.mu.Lock()
		defer w.mu.Unlock()
		if len(w.answers) != 3+1+20-n {
			t.Fatalf("%d refused, then %q", n, w.answers)
		}
	})
}

// TestStop answers everybody, finishes what is on its way to the disk, and a restart finds it.
func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := store.NewMemory()
		w := newWorld(t, disk, nil)
		w.put(1, "192.0.2.1/32")
		w.want("put 1: 2.01")
		w.silent = true
		reached, release := w.disk.BlockCommit(1)
		defer release()
		w.put(2, "192.0.2.2/32")
		<-reached
		w.get(2)
		w.delete(1)
		w.want()
		go func() { time.Sleep(time.Second); release() }()
		w.stop()
		w.put(3, "192.0.2.3/32")
		w.want("get 2: in-progress", "delete 1: 2.02", "put 2: 5.03 stopping", "put 3: 5.03 busy")
		w.gate.LinkDown("up", "after the end")

		w = newWorld(t, disk.Reopen(), nil)
		w.get(1)
		w.get(2)
		w.want("get 1: 4.04 no such mitigation", "get 2: in-progress")
		w.put(2, "192.0.2.2/32")
		w.want("put 2: 2.04")
	})
}

// TestNames asks the resolver outside of the loop.
func TestNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, store.NewMemory(), nil)
		w.names = func(n string) ([]netip.Addr, time.Duration, error) {
			if n == "bad.example.com" {
				return nil, 0, errors.New("no such name")
			}
			time.Sleep(time.Second)
			return []netip.Addr{netip.MustParseAddr("192.0.2.80")}, time.Minute, nil
		}
		ask := dots.Ask{Client: me, HopLimit: 9, Request: dots.Request{MID: 1, Lifetime: dots.Some[dots.Lifetime](60)}}
		ask.Request.Target.FQDNs = []string{"www.example.com"}
		say := w.say("put 1")
		w.gate.Mitigate(ask, func(a dots.Answer, err error) { say(a.Code.String(), err) })
		w.want()
		time.Sleep(time.Second)
		w.want("put 1: 2.01")
		ask.Request.MID, ask.Request.Target.FQDNs = 2, []string{"bad.example.com"}
		say2 := w.say("put 2")
		w.gate.Mitigate(ask, func(a dots.Answer, err error) { say2(a.Code.String(), err) })
		w.want("put 2: 5.03 target-fqdn cannot be resolved now")
	})
}

// TestTimers lets a lifetime end in virtual time.
func TestTimers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, store.NewMemory(), nil)
		w.put(1, "192.0.2.1/32")
		w.want("put 1: 2.01")
		begin := time.Now()
		time.Sleep(3600*time.Second - time.Nanosecond)
		w.get(1)
		w.want("get 1: in-progress")
		time.Sleep(time.Nanosecond)
		synctest.Wait() // the core's timer ends in the same moment
		w.get(1)
		w.want("get 1: client-withdrawn")
		time.Sleep(DefaultTerminating)
		synctest.Wait()
		w.get(1)
		w.want("get 1: terminated")
		time.Sleep(endedVisible)
		synctest.Wait()
		w.get(1)
		w.want("get 1: 4.04 no such mitigation")
		if took := time.Since(begin); took != 3600*time.Second+DefaultTerminating+endedVisible {
			t.Fatalf("took %v", took)
		}
	})
}

// TestHugeBatch lets a batch through that is larger than a store takes at a time.
func TestHugeBatch(t *testing.T) {
	disk := store.NewMemory()
	b := batch{seq: 5, records: make([]store.Record, store.MaxBatch+1)}
	for i := range b.records {
		b.records[i] = store.Record{Kind: kindLeg, Key: fmt.Sprint(i), Value: []byte("{}")}
	}
	if out := newCommitter(disk).commit([]batch{b}); out.err != nil || out.seq != 5 {
		t.Fatalf("gave %+v", out)
	}
	if n := len(storetest.All(t, disk)); n != len(b.records) {
		t.Fatalf("%d records, want %d", n, len(b.records))
	}
}
