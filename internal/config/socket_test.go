package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dotsgate/dotsgate/internal/testpki"
)

// TestAdminSocket holds that the socket is found in a file that is otherwise of no use to whoever asks.
func TestAdminSocket(t *testing.T) {
	dir := t.TempDir()
	for name, tt := range map[string]struct {
		text, want string
		bad        bool
	}{
		"relative":         {text: "admin: {socket: a.sock}\n", want: filepath.Join(dir, "a.sock")},
		"absolute":         {text: "admin: {socket: /run/x/a.sock}\n", want: "/run/x/a.sock"},
		"left out":         {text: "node: {id: gw}\n", want: DefaultSocket},
		"none":             {text: "admin: {socket: \"\"}\n"},
		"no such key file": {text: "admin: {socket: /a.sock}\ncredentials: {cert: none.pem, key: none.key, ca: none.pem}\n", want: "/a.sock"},
		"unknown setting":  {text: "admin: {socket: /a.sock}\nnoode: {id: gw}\n", want: "/a.sock"},
		"not YAML":         {text: "admin: {socket: [\n", bad: true},
		"wrong shape":      {text: "admin: 7\n", bad: true},
		"empty":            {text: "", bad: true},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, "x.yaml")
			if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := AdminSocket(path)
			if got != tt.want || (err != nil) != tt.bad {
				t.Errorf("AdminSocket() = %q, %v, want %q", got, err, tt.want)
			}
			var mistakes Errors
			if tt.bad && (!errors.As(err, &mistakes) || len(mistakes) == 0) {
				t.Errorf("error %v tells no mistakes", err)
			}
		})
	}
	var mistakes Errors
	if _, err := AdminSocket(filepath.Join(dir, "none.yaml")); !errors.As(err, &mistakes) {
		t.Errorf("no file: %v", err)
	}
}

// The secret of the cookies is the text of its file, and is not shown.
func TestCookieSecret(t *testing.T) {
	dir := folder(t)
	for text, want := range map[string]string{"0123456789abcdef0123\n": "0123456789abcdef0123", "short\n": ""} {
		testpki.WriteFile(t, filepath.Join(dir, "cookies"), []byte(text))
		c, err := parseIn(dir, strings.Replace(good, "hop_limit: 20", "cookie_secret_file: cookies", 1))
		switch {
		case want == "":
			if err == nil || !strings.Contains(err.Error(), "node.cookie_secret_file: the secret is shorter than 16 bytes") {
				t.Errorf("%q: %v", text, err)
			}
		case err != nil:
			t.Fatal(err)
		case string(c.CookieSecret) != want || strings.Contains(fmt.Sprintf("%v %+v", c, *c), want):
			t.Errorf("the secret is %q, or shown", string(c.CookieSecret))
		}
	}
}
