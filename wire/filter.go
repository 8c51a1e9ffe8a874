package wire

import "strings"

// ParseFilter reads the c query of a GET. RFC 9132, Section 4.4.2: c, n or a; other queries have no meaning. It returns
// what is wrong in a few words, or "".
func ParseFilter(query []string) (filter Filter, wrong string) {
	found := false
	for _, q := range query {
		name, value, _ := strings.Cut(q, "=")
		if name != "c" {
			continue
		}
		if found {
			return 0, "query: c twice"
		}
		found = true
		switch value {
		case "a":
			filter = FilterAll
		case "c":
			filter = FilterConfig
		case "n":
			filter = FilterNonConfig
		default:
			return 0, "query: c is none of a, c, n"
		}
	}
	return filter, ""
}

// Query returns the queries that ask for a filter; the default needs none.
func (f Filter) Query() []string {
	switch f {
	case FilterConfig:
		return []string{"c=c"}
	case FilterNonConfig:
		return []string{"c=n"}
	}
	return nil
}
