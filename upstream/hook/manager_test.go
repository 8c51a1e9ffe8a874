package hook

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/upstream"
)

// core notes what a Manager tells, in words.
type core chan string

func (c core) Answered(a dots.LegAnswer) { c <- a.Code.String() }
func (c core) LinkUp(string)             { c <- "up" }
func (c core) LinkDown(_, reason string) { c <- "down " + reason }
func (c core) Reported(_, _ string, _ bool, reports []dots.Report) {
	for _, r := range reports {
		c <- r.Status.String()
	}
}

// until waits for a word, whatever comes before it.
func (c core) until(t *testing.T, word string) {
	t.Helper()
	for {
		select {
		case got := <-c:
			if got == word {
				return
			}
			if strings.HasPrefix(got, "down") {
				t.Fatalf("told %q, want %q", got, word)
			}
		case <-t.Context().Done():
			t.Fatalf("ended before %q", word)
		}
	}
}

// Behind a Manager, as in the gateway: started, told of, ended when nobody wants it, and known after a restart.
func TestBehindAManager(t *testing.T) {
	r := &receiver{T: t}
	webhook := webhookTo(t, r, nil)
	r.answer = func(w http.ResponseWriter, _ *http.Request, m map[string]any) {
		if m["action"] == "start" {
			say(w, `{"status":"mitigated"}`)
		}
	}
	program, dir := script(t, `
		in=$(cat); id=$(echo "$in" | sed 's/.*"id":"\([^"]*\)".*/\1/')
		case "$in" in
		*'"list"'*) ids=$(cd $DIR/on && ls | sed 's/.*/{"id":"&"}/' | paste -sd,); echo "{\"mitigations\":[$ids]}";;
		*'"start"'*|*'"change"'*) touch $DIR/on/$id; echo '{"status":"mitigated"}';;
		*'"stop"'*) rm -f $DIR/on/$id;;
		esac`, nil)
	if err := os.Mkdir(filepath.Join(dir, "on"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, m := range map[string]*Mitigator{"webhook": webhook, "command": program} {
		t.Run(name, func(t *testing.T) {
			for _, again := range []bool{false, true} {
				told := make(core, 64)
				manager, err := upstream.New(upstream.Config{Events: told, Links: []upstream.LinkConfig{{Name: "scrub", Mitigator: m}}})
				if err != nil {
					t.Fatal(err)
				}
				ctx, stop := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() { done <- manager.Run(ctx) }()
				told.until(t, "up")
				manager.Want("scrub", []dots.Leg{aLeg(7)})
				manager.Stated()
				told.until(t, "mitigated")
				if again {
					gone := aLeg(7)
					gone.Withdraw, gone.Revision = true, 2
					manager.Want("scrub", []dots.Leg{gone})
					told.until(t, "2.02")
				}
				stop()
				if err := <-done; err != nil {
					t.Error(err)
				}
				if name != "command" {
					continue
				}
				on, err := os.ReadDir(filepath.Join(dir, "on"))
				if err != nil || len(on) != map[bool]int{false: 1, true: 0}[again] {
					t.Errorf("in force: %v, %v", on, err)
				}
			}
		})
	}
}
