package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/gateway"
	"github.com/dotsgate/dotsgate/internal/admin"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/internal/config"
	"github.com/dotsgate/dotsgate/internal/lab"
	"github.com/dotsgate/dotsgate/upstream"
)

// TestReloadLeaving takes a local mitigator out of the file while it works: it is told to stop, once the uplink has what it did, and only
// then gone. Nobody else would ever end it.
func TestReloadLeaving(t *testing.T) {
	t.Parallel()
	pki := newPKI(t)
	up := startUpstream(t, pki, coap.NetworkUDP, "127.0.0.1:0")
	file := writeGatewayFile(t, pki, up.address(), config.TransportDTLS, "")
	program, notes := scrubber(t, filepath.Dir(file))
	slow := filepath.Join(filepath.Dir(file), "slow") // while it is there, nothing ends
	script := "#!/bin/sh\nread -r line\ncase \"$line\" in *'\"stop\"'*) test -e " + slow + " && exit 3;; esac\necho \"$line\" >> " + notes + "\n"
	for name, text := range map[string]string{program: script, slow: ""} {
		if err := os.WriteFile(name, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	mitigators := "mitigators: [{name: scrubber, command: {program: " + program + "}}]\n"
	change(t, file, "domains:\n", mitigators+"domains:\n")
	change(t, file, "  - name: lab\n", "  - name: lab\n    mitigators: [scrubber]\n    uplinks: [upstream]\n")
	gw := startGateway(t, file)
	gw.awaitUplinks(t, "upstream", "scrubber")
	c := connect(t, pki, "client1", gw.Addrs()[0])
	c.must(t, dots.CodeCreated, put(1, 300, "192.0.2.1/32"))
	noted(t, notes, "start")

	change(t, file, mitigators, "")
	change(t, file, "    mitigators: [scrubber]\n", "")
	if err := gw.operator().Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	gw.log.order(t, "uplinks that are not configured any more are kept", "uplinks=scrubber", "configuration reloaded")
	up.await(t, "what the mitigator did", func() bool { return len(up.prefixes()) == 1 })
	eventually(t, "the mitigator is asked in vain", func() error { return gw.log.has("mitigator failed, asking again") })
	shown, err := gw.operator().Uplinks(t.Context(), admin.Filter{Uplink: "scrubber"})
	if err != nil || len(shown) != 1 || !shown[0].Leaving {
		t.Fatalf("uplinks: %+v, %v", shown, err)
	}
	if err := os.Remove(slow); err != nil {
		t.Fatal(err)
	}
	noted(t, notes, "stop")
	eventually(t, "the mitigator is gone", func() error {
		if shown, err = gw.operator().Uplinks(t.Context(), admin.Filter{}); err != nil || len(shown) != 1 {
			return fmt.Errorf("uplinks: %+v, %w", shown, err)
		}
		if strings.Contains(lines(t, gw.metrics), `uplink="scrubber"`) {
			return errors.New("the metrics tell of it")
		}
		return nil
	})
	c.must(t, dots.CodeContent, get(1))
	if strings.Contains(gw.log.String(), "no longer configured") {
		t.Error("the core forgot what it had to end")
	}

	// It comes back as new.
	change(t, file, "domains:\n", mitigators+"domains:\n")
	if err := gw.operator().Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	gw.awaitUplinks(t, "scrubber")
}

// TestReloadBack names an uplink again that is leaving, because the one in its place is not there: its session goes on, and so does what stands.
func TestReloadBack(t *testing.T) {
	t.Parallel()
	pki := newPKI(t)
	up := startUpstream(t, pki, coap.NetworkUDP, "127.0.0.1:0")
	file := writeGatewayFile(t, pki, up.address(), config.TransportDTLS, "")
	gw := startGateway(t, file)
	gw.awaitUplink(t, true)
	c := connect(t, pki, "client1", gw.Addrs()[0])
	c.must(t, dots.CodeCreated, put(1, 300, "192.0.2.1/32"))
	up.await(t, "what is asked", func() bool { return len(up.prefixes()) == 1 })
	sessions := sessionsOf(up)
	with, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}

	change(t, file, fmt.Sprintf("{name: upstream, address: %q", up.address()), fmt.Sprintf("{name: second, address: %q", freeAddress(t)))
	if err := gw.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := gw.now.Load().cfg.Leaving(); fmt.Sprint(left) != "[upstream]" {
		t.Fatalf("%v leave", left)
	}
	if err := os.WriteFile(file, with, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := gw.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.must(t, dots.CodeChanged, put(1, 300, "192.0.2.1/32"))
	if got := sessionsOf(up); fmt.Sprint(got) != fmt.Sprint(sessions) {
		t.Errorf("sessions %v, were %v", got, sessions)
	}
	up.change(func() {
		if n := len(up.prefixes()); n != 1 {
			t.Errorf("%d stand", n)
		}
	})
}

// noted waits until a scrubber has noted an action.
func noted(t *testing.T, notes, action string) {
	t.Helper()
	eventually(t, "the program is asked to "+action, func() error {
		text, err := os.ReadFile(notes)
		if err == nil && !strings.Contains(string(text), `"action":"`+action+`"`) {
			err = fmt.Errorf("noted %s", text)
		}
		return err
	})
}

// TestReloadBusy lets the core be too busy for a reload: then all is as it was, rules, uplinks and keys.
func TestReloadBusy(t *testing.T) {
	t.Parallel()
	pki := newPKI(t)
	up := startUpstream(t, pki, coap.NetworkUDP, "127.0.0.1:0")
	file := writeGatewayFile(t, pki, up.address(), config.TransportDTLS, "")
	gw := startGateway(t, file)
	gw.awaitUplink(t, true)
	client := labCredentials(t, pki, "client1")
	if err := lab.WritePKI(lab.PKIConfig{Dir: pki, Force: true}); err != nil {
		t.Fatal(err)
	}
	change(t, file, "name: client2", "name: client3")
	moreUplinks(t, file, up, "uplinks: [upstream, second]")

	free := gw.fill(t)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	err := gw.Reload(ctx)
	translated := gw.retranslate(ctx)
	free()
	if translated {
		t.Error("a core without room took a translation")
	}
	if !errors.Is(err, gateway.ErrBusy) {
		t.Fatalf("a core without room took the rules: %v", err)
	}
	if gw.policyNow().Domain("client2") != "lab" {
		t.Error("the client of before is not known")
	}
	if links := gw.upstream.Links(); len(links) != 1 || links[0].Name != "upstream" || !links[0].Up {
		t.Errorf("uplinks: %+v", links)
	}
	c, err := dial(t.Context(), client, gw.Addrs()[0])
	if err != nil {
		t.Fatalf("with the certificates of before: %v", err)
	}
	defer c.close()
	c.cuid = "cuid-of-client1"
	c.must(t, dots.CodeCreated, put(1, 300, "192.0.2.1/32"))
	wantLines(t, gw.metrics, `dotsgate_reloads_total{outcome="failed"} 1`)

	if err := gw.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if gw.policyNow().Domain("client3") != "lab" {
		t.Error("the new client is not known")
	}
	connect(t, pki, "client1", gw.Addrs()[0]).must(t, dots.CodeContent, get(1))
}

// fill stops the core and fills its mailbox, until what it returns is called.
func (g *testGateway) fill(t *testing.T) (free func()) {
	t.Helper()
	hold, held := make(chan struct{}), make(chan struct{})
	done := make(chan struct{}, 2)
	go func() {
		_ = g.gateway.Look(context.Background(), func(*gateway.Core) { close(held); <-hold })
		done <- struct{}{}
	}()
	<-held
	go func() {
		for range gateway.DefaultMailbox + 1 {
			g.gateway.ClientBack("nobody", 0) // waits for room
		}
		done <- struct{}{}
	}()
	over, cancel := context.WithCancel(t.Context())
	cancel()
	eventually(t, "the mailbox is full", func() error {
		if err := g.gateway.Drain(over, "nobody", true); !errors.Is(err, gateway.ErrBusy) {
			return fmt.Errorf("a command found room: %w", err)
		}
		return nil
	})
	return func() { close(hold); <-done; <-done }
}

// TestTellReload holds that the log does not say that nothing changed where something did.
func TestTellReload(t *testing.T) {
	full := &dots.Error{Code: dots.CodeUnavailable, Text: "storage full"}
	for _, tt := range []struct {
		err  error
		want string
	}{
		{nil, ""},
		{full, "reloading failed, the old configuration stays in force"},
		{errors.Join(fmt.Errorf("reloading: %w", changedError{full}), nil), "configuration changed, but not everything"},
	} {
		log := &logBuffer{}
		(&App{log: slog.New(slog.NewTextHandler(log, nil))}).tellReload(tt.err)
		if got := log.String(); (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) || tt.err != nil && !strings.Contains(got, "storage full") {
			t.Errorf("%v: logged %q, want %q", tt.err, got, tt.want)
		}
	}
}

// TestOver looks at each reason to let an uplink go, or not yet.
func TestOver(t *testing.T) {
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	busy := upstream.LegCounts{upstream.LegWithdrawing: 1}
	leaving := []upstream.LinkInfo{
		{Name: "empty"},
		{Name: "busy", Up: true, Legs: busy},
		{Name: "dead", Legs: busy},
		{Name: "flaps", Legs: busy},
		{Name: "scrubber", Local: true, Legs: busy},
		{Name: "strays", Local: true, Up: true, Standing: 1},
	}
	down := map[string]time.Time{"gone long since": now}
	if got := fmt.Sprint(over(down, now, leaving)); got != "[empty]" {
		t.Errorf("at first %v go", got)
	}
	leaving[3].Up = true
	if got := fmt.Sprint(over(down, now.Add(leavingDown-time.Second), leaving[1:])); got != "[]" {
		t.Errorf("before the time %v go", got)
	}
	leaving[3].Up = false
	if got := fmt.Sprint(over(down, now.Add(leavingDown), leaving[1:])); got != "[dead]" {
		t.Errorf("after it %v go", got)
	}
	if len(down) != 2 || down["flaps"] != now.Add(leavingDown) || down["scrubber"] != now {
		t.Errorf("known to be down: %v", down)
	}
}
