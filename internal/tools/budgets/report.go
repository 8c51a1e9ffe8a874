package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"text/tabwriter"
)

// excuse is a line of the allow-list: a miss that is known, with its reason. Rules about the whole tree have the place "*".
type excuse struct {
	rule, place, reason string
	used                bool
}

// loadExcuses reads the allow-list; a missing file excuses nothing. Empty lines and lines that begin with # are skipped.
func loadExcuses(fsys fs.FS, name string) ([]*excuse, error) {
	src, err := fs.ReadFile(fsys, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the allow-list: %w", err)
	}
	var out []*excuse
	n := 0
	for line := range strings.Lines(string(src)) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		words := strings.Fields(line)
		if len(words) < 5 {
			return nil, fmt.Errorf("%s:%d: want a rule, a place and a reason of at least three words: %s", name, n, line)
		}
		out = append(out, &excuse{rule: words[0], place: words[1], reason: strings.Join(words[2:], " ")})
	}
	return out, nil
}

// report prints the table and what misses, and returns whether every miss is excused and every excuse used.
func report(w io.Writer, rows []result, excuses []*excuse) (bool, error) {
	var notes []string
	good := true
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if _, err := fmt.Fprintln(tw, "budget\tvalue\tlimit\tverdict"); err != nil {
		return false, err
	}
	for _, row := range rows {
		if row.note != "" {
			notes = append(notes, row.rule+": "+row.note)
		}
		verdict := "ok"
		if !row.ok {
			var missed bool
			verdict, missed, notes = judge(row, excuses, notes)
			good = good && !missed
		}
		if _, err := fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", row.rule, row.value, row.limit, verdict); err != nil {
			return false, err
		}
	}
	for _, e := range excuses {
		if !e.used {
			good = false
			notes = append(notes, fmt.Sprintf("the allow-list excuses %s of %s, which is no miss (any more)", e.rule, e.place))
		}
	}
	if err := tw.Flush(); err != nil {
		return false, err
	}
	for _, n := range notes {
		if _, err := fmt.Fprintln(w, "  "+n); err != nil {
			return false, err
		}
	}
	return good, nil
}

// judge returns the verdict on a row that misses its limit, whether it stays missed, and the notes with its own added.
func judge(row result, excuses []*excuse, notes []string) (string, bool, []string) {
	items := row.items
	if items == nil {
		items = []item{{place: "*", text: row.value + " against " + row.limit}}
	}
	missed := 0
	for _, it := range items {
		reason := it.excuse
		if e := find(excuses, row.rule, it.place); e != nil {
			e.used = true
			reason = e.reason
		}
		if reason != "" {
			notes = append(notes, fmt.Sprintf("excused: %s: %s (%s)", row.rule, it.text, reason))
			continue
		}
		missed++
		notes = append(notes, fmt.Sprintf("MISS: %s: %s", row.rule, it.text))
	}
	if missed == 0 {
		return "excused", false, notes
	}
	return "MISS", true, notes
}

func find(excuses []*excuse, rule, place string) *excuse {
	for _, e := range excuses {
		if e.rule == rule && e.place == place {
			return e
		}
	}
	return nil
}
