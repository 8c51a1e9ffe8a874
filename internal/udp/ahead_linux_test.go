package udp

import (
	"fmt"
	"slices"
	"testing"
)

// TestRunAhead: what is handed on one by one has been shown before, all of a batch together, when there is more than one; in the same order and from the same
// peers. A datagram that comes alone is not shown.
func TestRunAhead(t *testing.T) {
	const n = batchSize + 1 // a whole batch, and one alone
	s, err := Listen(Config{Address: "127.0.0.1:0", Plain: true})
	if err != nil {
		t.Fatal(err)
	}
	c := peer(t, "", s.Addr())
	var want []string
	for i := range n { // nobody reads yet
		text := fmt.Sprint("datagram ", i)
		send(t, c, []byte(text))
		want = append(want, text)
	}
	var shown, handed []string
	wrong := make(chan string, n)
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.RunAhead(func(batch []Datagram) {
			if len(shown) != len(handed) || len(batch) < 2 {
				wrong <- fmt.Sprintf("%d were shown when %d of %d before had been handed on", len(batch), len(handed), len(shown))
			}
			for _, d := range batch {
				if d.From.Peer.String() != c.LocalAddr().String() {
					wrong <- fmt.Sprintf("%q came from %v", d.Data, d.From)
				}
				shown = append(shown, string(d.Data))
			}
		}, func(q *Queue, b []byte, from Path) {
			handed = append(handed, string(b))
			if len(handed) == n {
				q.Send(b, from)
			}
		})
	}()
	if got := receive(t, c); got != want[n-1] {
		t.Errorf("the last was %q", got)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	<-done
	close(wrong)
	for text := range wrong {
		t.Error(text)
	}
	if !slices.Equal(handed, want) {
		t.Errorf("handed on: %q", handed)
	}
	if !slices.Equal(shown, want[:batchSize]) {
		t.Errorf("shown: %q", shown)
	}
}
