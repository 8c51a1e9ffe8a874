package rfc9132

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

// resource is what a row of the table of resources allows.
type resource struct {
	name    string
	methods map[wire.Method]wire.Op
	// order of the parameters, and for each method those that must be there.
	order []string
	must  map[wire.Method][]string
}

// RFC 9132, Section 4.2 and Section 4.4.1: resources, methods and parameters; RFC 9066, Section 5.2.2: redirect.
func resources() []resource {
	return []resource{
		{
			"mitigate",
			map[wire.Method]wire.Op{wire.GET: wire.GetMitigations, wire.PUT: wire.PutMitigation, wire.DELETE: wire.DeleteMitigation},
			[]string{"cdid", "cuid", "mid"},
			map[wire.Method][]string{wire.GET: {"cuid"}, wire.PUT: {"cuid", "mid"}, wire.DELETE: {"cuid", "mid"}},
		},
		{
			"config",
			map[wire.Method]wire.Op{wire.GET: wire.GetConfig, wire.PUT: wire.PutConfig, wire.DELETE: wire.DeleteConfig},
			[]string{"sid"},
			map[wire.Method][]string{wire.PUT: {"sid"}},
		},
		{"hb", map[wire.Method]wire.Op{wire.PUT: wire.PutHeartbeat}, nil, nil},
		{"redirect", map[wire.Method]wire.Op{wire.PUT: wire.PutRedirect}, []string{"cdid", "cuid", "mid"}, nil},
	}
}

// bodyOf is a good body of a PUT.
func bodyOf(t *testing.T, op wire.Op) []byte {
	t.Helper()
	switch op {
	case wire.PutMitigation:
		return unhex(t, putFigure)
	case wire.PutConfig:
		return body(t, m{30: m{44: m{33: m{36: 30}}}})
	case wire.PutHeartbeat:
		return unhex(t, "A1 18 31 A1 18 33 F5")
	case wire.PutRedirect:
		return body(t, m{46: m{32773: "a.example"}})
	}
	return nil
}

// arrangements calls f with every sequence of up to three of the words.
func arrangements(words []string, f func(list []string)) {
	f(nil)
	for _, one := range words {
		f([]string{one})
		for _, two := range words {
			f([]string{one, two})
			for _, three := range words {
				f([]string{one, two, three})
			}
		}
	}
}

// allowedPath says plainly whether a sequence of parameters is right: each is of the resource, in order, once, with a value, and
// what must be there is.
func allowedPath(r resource, method wire.Method, list []string) bool {
	last := -1
	var names []string
	for _, parameter := range list {
		name, value, _ := strings.Cut(parameter, "=")
		at := slices.Index(r.order, name)
		if at <= last || value == "" {
			return false
		}
		if name == "mid" || name == "sid" {
			if _, err := strconv.ParseUint(value, 10, 32); err != nil {
				return false
			}
		}
		last = at
		names = append(names, name)
	}
	for _, name := range r.must[method] {
		if !slices.Contains(names, name) {
			return false
		}
	}
	return true
}

func TestEveryArrangementOfParameters(t *testing.T) {
	words := []string{"cdid=d", "cuid=c", "mid=7", "sid=9", "cuid=", "mid=", "mid=x", "sid=-1", "cuid", "Cuid=c", "tmid=1", "=c", ""}
	good, bad := 0, 0
	for _, r := range resources() {
		for method := range wire.Method(6) {
			arrangements(words, func(list []string) {
				op, isMethod := r.methods[method]
				m := wire.CoAPRequest{Method: method, Path: path(append([]string{r.name}, list...)...), Payload: bodyOf(t, op)}
				if m.Payload != nil {
					m.Format = dots.Some[uint16](271)
				}
				got, err := New().DecodeRequest(m)
				code := dots.Code(0)
				if err != nil {
					code = dots.AsError(err).Code
				}
				switch {
				case !isMethod:
					if code != dots.CodeMethodNotAllowed {
						t.Errorf("%d %q: %v", method, m.Path, err)
					}
				case !allowedPath(r, method, list):
					bad++
					if code != dots.CodeBadRequest {
						t.Errorf("%d %q: %v", method, m.Path, err)
					}
				default:
					good++
					if err != nil || got.Op != op || !slices.Equal(writePath(got), m.Path) {
						t.Errorf("%d %q: %+v, %v", method, m.Path, got, err)
					}
				}
			})
		}
	}
	if good < 20 || bad < 10000 {
		t.Errorf("%d accepted, %d refused", good, bad)
	}
}

// RFC 9132, Section 4.4.1: a mid is a number of 32 bits, and one resource has one name.
func TestNumbersInPaths(t *testing.T) {
	for value, want := range map[string]dots.Maybe[uint32]{
		"0": dots.Some[uint32](0), "1": dots.Some[uint32](1), "4294967295": dots.Some[uint32](4294967295), "3221225471": dots.Some[uint32](3221225471),
		"4294967296": {}, "00": {}, "01": {}, "-0": {}, "+1": {}, "1 ": {}, " 1": {}, "0x1": {}, "1_0": {}, "1.0": {}, "\u0661": {},
		"99999999999999999999999": {}, "1=1": {},
	} {
		for _, name := range []string{"mid", "sid"} {
			resource := path("mitigate", "cuid=c", "mid="+value)
			if name == "sid" {
				resource = path("config", "sid="+value)
			}
			m := wire.CoAPRequest{Method: wire.GET, Path: resource}
			if !want.Set {
				isRefused(t, m, dots.CodeBadRequest, name+": not a number of 32 bits")
				continue
			}
			got := accepted(t, m)
			if name == "mid" && got.MID != want || name == "sid" && got.SID != dots.Some(uint64(want.Value)) {
				t.Errorf("%s=%s read as %+v", name, value, got)
			}
		}
	}
}

// RFC 9132, Section 4.4.2: c is of a GET of mitigations. Elsewhere it has no meaning, whatever it says.
func TestFilterIsOfMitigationsOnly(t *testing.T) {
	for _, query := range [][]string{{"c=c"}, {"c=x"}, {"c"}, {"c=a", "c=n"}, {"sid=1"}, {""}} {
		for _, r := range resources() {
			for method, op := range r.methods {
				m := wire.CoAPRequest{Method: method, Path: path(r.name), Query: query, Payload: bodyOf(t, op)}
				for _, name := range r.must[method] {
					m.Path = append(m.Path, name+"=1")
				}
				if m.Payload != nil {
					m.Format = dots.Some[uint16](271)
				}
				want, _ := wire.ParseFilter(query)
				if op != wire.GetMitigations {
					want = wire.FilterAll
				} else if _, bad := wire.ParseFilter(query); bad != "" {
					isRefused(t, m, dots.CodeBadRequest, "query")
					continue
				}
				if got := accepted(t, m); got.Filter != want {
					t.Errorf("%q on %s: filter %v", query, r.name, got.Filter)
				}
			}
		}
	}
	for _, filter := range []wire.Filter{wire.FilterAll, wire.FilterConfig, wire.FilterNonConfig} {
		for op := wire.PutMitigation; op <= wire.PutRedirect; op++ {
			if got := writeQuery(wire.Request{Op: op, Filter: filter}); op != wire.GetMitigations && got != nil {
				t.Errorf("operation %d asks %q", op, got)
			}
		}
	}
}

// Formats and preconditions by resource and method: what the payload is only counts where it is read.
func TestOptionsByResource(t *testing.T) {
	for _, r := range resources() {
		for method, op := range r.methods {
			good := wire.CoAPRequest{Method: method, Path: path(r.name), Payload: bodyOf(t, op)}
			for _, name := range r.must[method] {
				good.Path = append(good.Path, name+"=1")
			}
			if good.Payload != nil {
				good.Format = dots.Some[uint16](271)
			}
			accepted(t, good)
			changed := func(change func(m *wire.CoAPRequest)) wire.CoAPRequest {
				m := good
				change(&m)
				return m
			}
			isRefused(t, changed(func(m *wire.CoAPRequest) { m.Accept = dots.Some[uint16](0) }), dots.CodeNotAcceptable, "271")
			accepted(t, changed(func(m *wire.CoAPRequest) { m.Accept = dots.Some[uint16](271) }))
			text := changed(func(m *wire.CoAPRequest) { m.Format = dots.Some[uint16](50) })
			tagged := changed(func(m *wire.CoAPRequest) { m.IfMatchTag = true })
			empty := changed(func(m *wire.CoAPRequest) { m.Payload, m.Format = nil, dots.Maybe[uint16]{} })
			match := changed(func(m *wire.CoAPRequest) { m.IfMatch = true })
			if method == wire.PUT {
				isRefused(t, text, dots.CodeUnsupportedFormat, "271")
				isRefused(t, empty, dots.CodeBadRequest, "body missing")
			} else {
				accepted(t, text)
				accepted(t, empty)
			}
			if method == wire.GET {
				accepted(t, tagged)
				accepted(t, match)
				continue
			}
			isRefused(t, tagged, dots.CodeBadRequest, "If-Match")
			if op == wire.PutMitigation {
				isRefused(t, match, dots.CodeBadRequest, "attack-status: missing")
			} else {
				isRefused(t, match, dots.CodeBadRequest, "If-Match")
			}
		}
	}
}
