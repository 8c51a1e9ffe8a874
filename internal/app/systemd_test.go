package app

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestTellSystemd: the words of sd_notify(3), to a socket in a folder or in none.
func TestTellSystemd(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "notify") // a folder of the test may have a name too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }() // what is left is in the system's folder for such things
	for _, at := range []string{filepath.Join(dir, "n"), fmt.Sprintf("@dotsgate-test-%d-%d", os.Getpid(), time.Now().UnixNano())} {
		manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: at, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		getenv := func(name string) string { return map[string]string{"NOTIFY_SOCKET": at}[name] }
		for main, want := range map[bool]string{false: "READY=1", true: fmt.Sprintf("MAINPID=%d\nREADY=1", os.Getpid())} {
			if err := tellSystemd(t.Context(), getenv, main); err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, 100)
			_ = manager.SetReadDeadline(soon())
			n, err := manager.Read(buf)
			if got := string(buf[:n]); err != nil || got != want {
				t.Errorf("told %q, %v, want %q", got, err, want)
			}
		}
		_ = manager.Close()
		if err := tellSystemd(t.Context(), getenv, false); err == nil {
			t.Error("nobody was told, without an error")
		}
	}
	if err := tellSystemd(t.Context(), func(string) string { return "" }, true); err != nil {
		t.Errorf("without a manager: %v", err)
	}
}
