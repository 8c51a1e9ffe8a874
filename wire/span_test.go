package wire

import (
	"bytes"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/google/go-cmp/cmp"
)

func TestReadSpan(t *testing.T) {
	for _, tt := range []struct {
		name         string
		item         any
		lower, upper uint64
		code         dots.Code
		text         string
	}{
		{"both", m{8: 1, 9: 2}, 1, 2, 0, ""},
		{"equal", m{8: 2, 9: 2}, 2, 2, 0, ""},
		{"lower alone", m{8: 7}, 7, 7, 0, ""},
		{"whole", m{8: 0, 9: 300}, 0, 300, 0, ""},
		{"upside down", m{8: 2, 9: 1}, 0, 0, dots.CodeUnprocessable, "k9: below k8"},
		{"upper alone", m{9: 1}, 0, 0, dots.CodeBadRequest, "k8: missing"},
		{"nothing", m{}, 0, 0, dots.CodeBadRequest, "k8: missing"},
		{"lower beyond", m{8: 301}, 0, 0, dots.CodeUnprocessable, "k8: out of range"},
		{"upper beyond", m{8: 1, 9: 301}, 0, 0, dots.CodeUnprocessable, "k9: out of range"},
		{"number", 1, 0, 0, dots.CodeUnprocessable, "k5: not a map"},
		{"refused beside", m{8: 1, 1000: 1}, 0, 0, dots.CodeForbidden, "k1000"},
		{"passed over beside", m{8: 1, 999: 1}, 1, 1, 0, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			lower, upper, err := read(t, tt.item, false).ReadSpan(5, 8, 300)
			failed(t, err, tt.code, tt.text)
			if lower != tt.lower || upper != tt.upper {
				t.Errorf("read as %d to %d", lower, upper)
			}
		})
	}
}

func TestPortsBothWays(t *testing.T) {
	list := []dots.PortRange{{Lower: 80, Upper: 80}, {}, {Lower: 1024, Upper: 65535}, {Lower: 80, Upper: 90}}
	var w Writer
	w.BeginMap()
	w.Ports(5, 8, list)
	w.Ports(6, 8, nil)
	w.EndMap()
	item := m{5: a{m{8: 80}, m{8: 0}, m{8: 1024, 9: 65535}, m{8: 80, 9: 90}}}
	if want := marshal(t, item); !bytes.Equal(w.Bytes(), want) {
		t.Errorf("written as %x, want %x", w.Bytes(), want)
	}
	got, err := read(t, item[5], false).ReadPorts(5, 8)
	if err != nil || !cmp.Equal(got, list) {
		t.Errorf("read as %v, %v", got, err)
	}
	_, err = read(t, a{m{8: 65536}}, false).ReadPorts(5, 8)
	failed(t, err, dots.CodeUnprocessable, "k8: out of range")
	_, err = read(t, a{}, false).ReadPorts(5, 8)
	failed(t, err, dots.CodeUnprocessable, "k5: empty")
	if got, err := read(t, a{nil, m{8: 1}}, true).ReadPorts(5, 8); err != nil || len(got) != 1 {
		t.Errorf("of a server: %v, %v", got, err)
	}
}
