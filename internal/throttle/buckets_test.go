package throttle

import (
	"math"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// took is how many of n tries in a row at one moment were let through.
func took(b *Buckets, a netip.Addr, now time.Time, n int) (got int) {
	for range n {
		if b.Take(a, now) {
			got++
		}
	}
	return got
}

func TestBucketsRefill(t *testing.T) {
	type try struct {
		at   time.Duration
		n    int
		want int
	}
	cases := []struct {
		name  string
		rate  float64
		burst int
		tries []try
	}{
		{"the burst at once, then nothing", 1, 5, []try{{0, 10, 5}, {0, 10, 0}}},
		{"a token when its time has come", 2, 5, []try{{0, 9, 5}, {499 * time.Millisecond, 1, 0}, {500 * time.Millisecond, 2, 1}}},
		{"no more than the burst after a long time", 10, 3, []try{{0, 9, 3}, {time.Hour, 9, 3}}},
		{"slower than one a second", 0.1, 1, []try{{0, 2, 1}, {9 * time.Second, 1, 0}, {10 * time.Second, 2, 1}}},
		{"a refusal costs nothing", 1, 1, []try{{0, 100, 1}, {time.Second, 100, 1}}},
		{"a clock that stands still", 1000, 2, []try{{time.Second, 5, 2}, {time.Second, 5, 0}}},
		{"as good as without bound", 1, math.MaxInt, []try{{0, 9, 9}, {time.Hour, 9, 9}}},
		{"one for good", 1e-300, 1, []try{{0, 9, 1}, {time.Hour, 9, 0}}},
		{"faster than the clock", 1e300, 2, []try{{0, 9, 2}, {time.Microsecond, 9, 2}}},
		{"without a rate", 0, 5, []try{{0, 5, 0}, {time.Hour, 5, 0}}},
		{"without a burst", 5, 0, []try{{0, 5, 0}, {time.Hour, 5, 0}}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			b := NewBuckets(64, c.rate, c.burst)
			for i, try := range c.tries {
				if got := took(b, stranger(1), b.began.Add(try.at), try.n); got != try.want {
					t.Errorf("try %d: %d of %d let through, want %d", i, got, try.n, try.want)
				}
			}
		})
	}
}

func TestBucketsAreApart(t *testing.T) {
	b := NewBuckets(1024, 1, 3)
	for n := range 20 {
		if got := took(b, stranger(n), b.began, 10); got != 3 {
			t.Errorf("source %d was let through %d times, want 3", n, got)
		}
	}
}

// A table full of strangers costs nobody anything: who is put out is the one who had most left.
func TestBucketsEvictTheFullest(t *testing.T) {
	b := NewBuckets(1, 1, 10) // one set
	for n := range bucketWays {
		if got := took(b, stranger(n), b.began, 10-n); got != 10-n {
			t.Fatalf("source %d was let through %d times", n, got)
		}
	}
	if got, want := b.Stats(b.began), (Stats{Size: bucketWays, Fill: bucketWays}); got != want {
		t.Fatalf("%+v, want %+v", got, want)
	}
	if !b.Take(stranger(100), b.began) {
		t.Fatal("a newcomer was refused")
	}
	if got, want := b.Stats(b.began), (Stats{Size: bucketWays, Fill: bucketWays, Evictions: 1}); got != want {
		t.Fatalf("%+v, want %+v", got, want)
	}
	// The newcomer, who has most left now, gives way to the one he put out, who has a full bucket again; all others are as they were.
	if got := took(b, stranger(bucketWays-1), b.began, 20); got != 10 {
		t.Errorf("who was put out was let through %d times, want 10", got)
	}
	for n := range bucketWays - 1 {
		if got := took(b, stranger(n), b.began, 20); got != n {
			t.Errorf("source %d was let through %d more times, want %d", n, got, n)
		}
	}
}

func TestBucketsThatAreFullAgainGiveWayUncounted(t *testing.T) {
	b := NewBuckets(1, 1, 10)
	for n := range bucketWays {
		took(b, stranger(n), b.began, 2)
	}
	later := b.began.Add(3 * time.Second)
	for n := range bucketWays {
		took(b, stranger(100+n), later, 1)
	}
	if got, want := b.Stats(later), (Stats{Size: bucketWays, Fill: bucketWays}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := b.Stats(later.Add(time.Minute)); got.Fill != 0 {
		t.Errorf("%d buckets are counted as spent after a minute", got.Fill)
	}
}

// However many strangers come, one who sends too much is held to little more than his rate.
func TestBucketsHoldWhileStrangersFlood(t *testing.T) {
	b := NewBuckets(4096, 1, 5)
	got := 0
	for n := range 100_000 {
		b.Take(stranger(1000+n), b.began)
		if n%100 == 0 && b.Take(stranger(1), b.began) {
			got++
		}
	}
	// He is in the table with an empty bucket most of the time, and strangers with four tokens left give way before him.
	if got > 10 {
		t.Errorf("let through %d times of 1,000, want about 5", got)
	}
	if s := b.Stats(b.began); s.Fill != s.Size || s.Evictions == 0 {
		t.Errorf("the table is not full of strangers: %+v", s)
	}
}

func TestBucketsFromManyGoroutines(t *testing.T) {
	b := NewBuckets(64, 1, 100)
	var through atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() { through.Add(int64(took(b, stranger(1), b.began, 50))) })
	}
	all.Wait()
	if got := through.Load(); got != 100 {
		t.Errorf("let through %d times, want 100", got)
	}
}
