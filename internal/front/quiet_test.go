package front

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// quietHouse notes when its peers are to be asked for something.
func quietHouse(t *testing.T, path RecordPath) (*house, *[]time.Duration) {
	t.Helper()
	begin, asked := time.Now(), new([]time.Duration)
	h := newHouse(t, func(c *Config) {
		c.RecordPath = path
		c.Quiet = func(*Conn) { *asked = append(*asked, time.Since(begin)) }
	})
	return h, asked
}

// TestQuiet: who says nothing after its handshake is asked for something, some times and no more. When it speaks at last the session is
// taken over, and it is asked no more.
func TestQuiet(t *testing.T) {
	all := []time.Duration{250 * time.Millisecond, 2250 * time.Millisecond, 6250 * time.Millisecond, 14250 * time.Millisecond}
	for _, tt := range []struct {
		name  string
		path  RecordPath
		after time.Duration
		want  []time.Duration
	}{
		{"at once", Own, 0, nil},
		{"before the first question", Own, 249 * time.Millisecond, nil},
		{"after the second", Own, 3 * time.Second, all[:2]},
		{"never asked more than four times", Own, time.Hour, all},
		{"the library's for ever", Pion, time.Hour, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, asked := quietHouse(t, tt.path)
				defer h.close(t)
				c, _ := h.client(t, clientAddr(1))
				synctest.Wait()
				time.Sleep(tt.after)
				echo(t, c, "first")
				synctest.Wait()
				h.wantTakenOver(t, 1)
				time.Sleep(time.Hour)
				echo(t, c, "still there")
				if !slices.Equal(*asked, tt.want) {
					t.Errorf("asked after %v, want %v", *asked, tt.want)
				}
			})
		})
	}
}

// TestQuietAsks: what the question brings is the first record, and the session is taken over by it. What the layer above has sent
// through the library, and what it sends then, has numbers of its own.
func TestQuietAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newOwnHouse(t, func(c *Config) { c.Quiet = func(conn *Conn) { _ = conn.Write([]byte("there?")) } })
		defer h.close(t)
		c, _ := h.client(t, clientAddr(1))
		buf := make([]byte, 100)
		n, err := c.Read(buf)
		if err != nil || string(buf[:n]) != "there?" {
			t.Fatalf("read %q, %v", buf[:n], err)
		}
		h.wantTakenOver(t, 0)
		echo(t, c, "yes")
		synctest.Wait()
		h.wantTakenOver(t, 1)
		if n := wantNoncesOnce(t, h.sentSince(0), 0); n != 3 {
			t.Errorf("%d nonces, want the Finished, the question and the answer", n)
		}
	})
}

// TestQuietAndGone: a peer that has left is not asked.
func TestQuietAndGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, asked := quietHouse(t, Own)
		defer h.close(t)
		c, _ := h.client(t, clientAddr(1))
		time.Sleep(100 * time.Millisecond)
		_ = c.Close()
		<-h.ended
		time.Sleep(time.Hour)
		if len(*asked) > 0 {
			t.Errorf("asked after %v", *asked)
		}
		h.wantKnown(t, 0, 0)
	})
}
