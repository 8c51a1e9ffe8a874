package wire

import "testing"

func TestFilterQuery(t *testing.T) {
	// RFC 9132, Section 4.4.2: the values of c.
	for _, f := range []Filter{FilterAll, FilterConfig, FilterNonConfig} {
		if got, wrong := ParseFilter(append(f.Query(), "x=1")); got != f || wrong != "" {
			t.Errorf("%v asked as %q, read as %v %s", f, f.Query(), got, wrong)
		}
	}
	for _, query := range [][]string{{"c"}, {"c="}, {"c=x"}, {"c=cc"}, {"c=c", "c=n"}} {
		if _, wrong := ParseFilter(query); wrong == "" {
			t.Errorf("%q accepted", query)
		}
	}
}
