package app

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
)

// tellSystemd says that the gateway serves; main: it is the unit's main process from now on, in the place of another one. Without
// a manager that wants to know (NOTIFY_SOCKET) it does nothing. See sd_notify(3).
func tellSystemd(ctx context.Context, getenv func(string) string, main bool) error {
	at := getenv("NOTIFY_SOCKET")
	if at == "" {
		return nil
	}
	state := "READY=1"
	if main {
		state = fmt.Sprintf("MAINPID=%d\n%s", os.Getpid(), state)
	}
	if strings.HasPrefix(at, "@") { // a name that is in no folder
		at = "\x00" + at[1:]
	}
	c, err := (&net.Dialer{}).DialContext(ctx, "unixgram", at)
	if err != nil {
		return fmt.Errorf("telling systemd: %w", err)
	}
	defer func() { _ = c.Close() }() // all is said
	if _, err := c.Write([]byte(state)); err != nil {
		return fmt.Errorf("telling systemd: %w", err)
	}
	return nil
}
