package policy

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/dotsgate/dotsgate/dots"
)

func TestRefusalNamesWhatIsWrong(t *testing.T) {
	tests := []struct{ name, parameter, value, why, want string }{
		{"prefix", "target-prefix", "198.51.100.0/24", "not yours", "target-prefix 198.51.100.0/24 not yours"},
		{"just fits", "p", strings.Repeat("v", 58), "why", "p " + strings.Repeat("v", 58) + " why"},
		{"one too long", "p", strings.Repeat("v", 59), "why", "p " + strings.Repeat("v", 56) + ".. why"},
		{
			"longest IPv6", "target-prefix", "2001:db8:1111:2222:3333:4444:5555:6666/128", "not yours",
			"target-prefix 2001:db8:1111:2222:3333:4444:5555:6666.. not yours",
		},
		{"line break", "alias-name", "a\r\nlevel=ERROR", "not yours", "alias-name a??level=ERROR not yours"},
		{"broken UTF-8", "alias-name", "a\xffb", "not yours", "alias-name a?b not yours"},
		{"direction mark", "alias-name", "a\u202eb", "not yours", "alias-name a?b not yours"},
		{"empty", "alias-name", "", "not yours", "alias-name  not yours"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			wantDeny(t, refusal(tt.parameter, tt.value, tt.why), dots.CodeBadRequest, tt.want)
		})
	}
}

func TestClipKeepsRunesWhole(t *testing.T) {
	for n := 2; n < 40; n++ {
		got := clip(strings.Repeat("ü€", 10), n)
		if len(got) > n || !utf8.ValidString(got) || !strings.HasSuffix(got, ellipsis) {
			t.Errorf("clipping to %d bytes gives %q of %d", n, got, len(got))
		}
	}
}
