package wire

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"
)

func TestWriterScalars(t *testing.T) {
	for _, v := range []any{
		uint64(0), uint64(23), uint64(24), uint64(255), uint64(256), uint64(65536), uint64(1 << 32), int64(-1), int64(-25), int64(7),
		"", "text", "\u00e4", true, false,
		[]string{"a", "b"},
	} {
		var w Writer
		switch v := v.(type) {
		case uint64:
			w.Uint(v)
		case int64:
			w.Int(v)
		case string:
			w.Text(v)
		case bool:
			w.Bool(v)
		case []string:
			w.Texts(v)
		}
		if want := marshal(t, v); !bytes.Equal(w.Bytes(), want) {
			t.Errorf("%v written as %x, want %x", v, w.Bytes(), want)
		}
	}
}

// The head of a container is made room for where one byte is not enough.
func TestWriterContainers(t *testing.T) {
	for _, n := range []int{0, 1, 23, 24, 255, 256, 1024} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			list, inner := make([]any, n), map[int]int{}
			var w Writer
			w.BeginMap()
			w.Key(1)
			w.BeginArray()
			for i := range n {
				list[i] = i
				w.Element()
				w.Uint(uint64(i))
			}
			w.EndArray()
			w.Key(2)
			w.BeginMap()
			for i := range n {
				inner[i] = i
				w.Key(uint64(i))
				w.Uint(uint64(i))
			}
			w.EndMap()
			w.TextKey("a")
			w.Raw([]byte{0xf6})
			w.EndMap()
			if want := marshal(t, map[any]any{1: list, 2: inner, "a": nil}); !bytes.Equal(w.Bytes(), want) {
				t.Errorf("written as %x, want %x", w.Bytes(), want)
			}
		})
	}
}

func TestWriterPrefix(t *testing.T) {
	for _, s := range []string{"0.0.0.0/0", "198.51.100.0/24", "2001:db8::/32", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128"} {
		var w Writer
		w.Prefix(netip.MustParsePrefix(s))
		if want := marshal(t, s); !bytes.Equal(w.Bytes(), want) {
			t.Errorf("%s written as %x", s, w.Bytes())
		}
	}
}
