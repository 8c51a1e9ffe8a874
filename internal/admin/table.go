package admin

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"
)

// Formats of the output.
const (
	FormatTable = "table"
	FormatJSON  = "json"
)

// table says how items look in one.
type table[T any] struct {
	head string // the columns' names, with tabs between them
	row  func(T) []string
}

// write writes items in a format.
func (tab table[T]) write(w io.Writer, format string, items []T) error {
	switch format {
	case FormatJSON:
		return writeJSON(w, items)
	case FormatTable:
	default:
		return fmt.Errorf("unknown format %q: use %s or %s", format, FormatTable, FormatJSON)
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, tab.head) // Flush tells what could not be written
	for _, i := range items {
		cells := tab.row(i)
		for j := range cells {
			cells[j] = Printable(cells[j])
		}
		_, _ = fmt.Fprintln(t, strings.Join(cells, "\t"))
	}
	return t.Flush()
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// Printable escapes what could move the cursor or change the colours of a terminal: some words come from peers.
func Printable(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }) {
		return s
	}
	quoted := strconv.Quote(s)
	return quoted[1 : len(quoted)-1]
}

// WriteMitigations writes mitigations as a table or as JSON. In the table HEARD is, leg by leg, the age of the uplink's newest report.
func WriteMitigations(w io.Writer, format string, now time.Time, items []Mitigation) error {
	return table[Mitigation]{"CLIENT\tCUID\tMID\tSTATUS\tLIFETIME\tTARGETS\tLEGS\tHEARD", func(m Mitigation) []string {
		lifetime := strconv.FormatInt(m.Lifetime, 10) + "s"
		if m.Lifetime < 0 {
			lifetime = "indefinite"
		}
		legs, heard := make([]string, len(m.Legs)), make([]string, len(m.Legs))
		for i, l := range m.Legs {
			legs[i] = fmt.Sprintf("%s/%d:%s", l.Uplink, l.MID, l.State)
			if l.SharedBy > 1 {
				legs[i] += fmt.Sprintf("(shared by %d)", l.SharedBy)
			}
			heard[i] = age(l.Heard, now)
		}
		status := m.Status
		if m.Recursed {
			status += ",recursed"
		}
		return []string{
			m.Client, m.cuid(), strconv.FormatUint(uint64(m.MID), 10), status, lifetime,
			orDash(strings.Join(m.Targets, ",")), orDash(strings.Join(legs, ",")), orDash(strings.Join(heard, ",")),
		}
	}}.write(w, format, items)
}

// WriteSessions writes sessions as a table or as JSON.
func WriteSessions(w io.Writer, format string, now time.Time, items []Session) error {
	return table[Session]{"ID\tCLIENT\tPEER\tTRANSPORT\tPROFILE\tAGE\tHEARD", func(s Session) []string {
		client := s.Client
		if client == "" {
			client = "(unknown)"
		}
		return []string{strconv.FormatUint(s.ID, 10), client, s.Peer, s.Transport, orDash(s.Profile), age(s.Since, now), age(s.LastHeard, now)}
	}}.write(w, format, items)
}

// WriteUplinks writes uplinks as a table or as JSON.
func WriteUplinks(w io.Writer, format string, now time.Time, items []Uplink) error {
	return table[Uplink]{"UPLINK\tSTATE\tREMOTE\tTRANSPORT\tPROFILE\tFOR\tHEARD\tRTT\tLEGS\tLAST ERROR", func(u Uplink) []string {
		state := "down"
		if u.Up {
			state = "up"
		}
		if !u.Dialling.IsZero() {
			state += ",dialling:" + age(u.Dialling, now)
		}
		if u.Local {
			state += ",local"
		}
		if u.Drained {
			state += ",drained"
		}
		if u.Leaving {
			state += ",leaving"
		}
		if u.Suspect {
			state += ",suspect"
		}
		if u.Redirected != "" {
			state += ",redirected:" + u.Redirected
		}
		states := make([]string, 0, len(u.Legs))
		for s, n := range u.Legs {
			if n > 0 {
				states = append(states, fmt.Sprintf("%s:%d", s, n))
			}
		}
		slices.Sort(states)
		return []string{
			u.Name, state, orDash(u.Remote), orDash(u.Transport), orDash(u.Profile), age(u.Since, now), age(u.LastHeard, now), rtt(u.RTT),
			orDash(strings.Join(states, ",")), orDash(u.LastError),
		}
	}}.write(w, format, items)
}

// WriteExplanation writes an explanation as a table, its verdict last, or as JSON.
func WriteExplanation(w io.Writer, format string, e Explanation) error {
	if format == FormatJSON {
		return writeJSON(w, e)
	}
	err := table[Step]{"RULE\tSUBJECT\tRESULT\tDETAIL", func(s Step) []string {
		return []string{s.Rule, orDash(s.Subject), s.Result, orDash(s.Detail)}
	}}.write(w, format, e.Steps)
	if err != nil {
		return err
	}
	verdict := "allowed: " + e.Code
	if !e.Allowed {
		verdict = "refused: " + e.Code
	}
	if e.Text != "" {
		verdict += " " + e.Text
	}
	_, err = fmt.Fprintln(w, Printable(verdict))
	return err
}

// rtt is a round-trip time of so many seconds for people, such as 41.5ms.
func rtt(seconds float64) string {
	if seconds == 0 {
		return "-"
	}
	return time.Duration(seconds * float64(time.Second)).Round(100 * time.Microsecond).String()
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// cuid is what a client goes by: behind a trusted gateway with the cdid in front.
func (m Mitigation) cuid() string {
	if m.CDID == "" {
		return m.CUID
	}
	return m.CDID + "/" + m.CUID
}
