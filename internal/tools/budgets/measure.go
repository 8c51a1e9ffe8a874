package main

import (
	"fmt"
	"slices"
	"strings"
)

// The budgets. A change of a number is a change of the house's style and needs its reason in the commit.
const (
	maxRootEntries   = 16 // without the files that a module must have there: go.mod, go.sum
	maxMedianLines   = 130
	maxP90Lines      = 350
	maxFileLines     = 600
	longFunction     = 60  // lines
	maxLongPercent   = 2   // of the functions
	maxFunctionLines = 100 // production
	maxComplexity    = 12
	minTestRatio     = 1.3
	maxDependencies  = 25
	minCitations     = 5 // per 1000 lines
	maxMethods       = 6
	maxParameters    = 4
	maxMainLines     = 60
)

// item is one place that misses a budget for single places.
type item struct {
	place  string // file, or file:name; what an excuse names
	text   string // file:line: what is wrong
	excuse string // the reason given at the place itself; empty for none
}

// result is one row of the table.
type result struct {
	rule  string
	value string
	limit string
	ok    bool
	items []item // where the rule is about single places: those that miss it
	note  string // what the value was counted from; empty where the rule says it
}

// measure returns every budget's row.
func measure(t *tree) []result {
	rows := []result{
		atMost("root-entries", float64(len(t.rootEntries())), maxRootEntries),
		atMost("median-file-lines", t.quantile(0.5), maxMedianLines),
		atMost("p90-file-lines", t.quantile(0.9), maxP90Lines),
		places("file-lines", fmt.Sprint("max ", maxFileLines), t.each(fileLines)),
		places("main-lines", fmt.Sprint("max ", maxMainLines), t.each(mainLines)),
		atMost("functions-over-60-lines-%", t.longPercent(), maxLongPercent),
		places("function-lines", fmt.Sprint("max ", maxFunctionLines), t.each(functionLines)),
		places("complexity", fmt.Sprint("max ", maxComplexity), t.each(complexities)),
		places("parameters", fmt.Sprint("max ", maxParameters), t.each(parameters)),
		places("interface-methods", fmt.Sprint("max ", maxMethods), t.each(interfaces)),
		places("exported-undocumented", "0", t.each(undocumented)),
		places("packages-undocumented", "0", t.packagesUndocumented()),
		t.testRatio(),
		places("init-functions", "0", t.each(inits)),
		places("mutable-package-variables", "0", t.mutable()),
		atMost("direct-dependencies", float64(t.dependencies()), maxDependencies),
		places("todo-without-reason", "0", t.each(todos)),
		places("nolint-without-reason", "0", t.each(nolints)),
	}
	for _, room := range []string{"wire", "policy", "gateway"} {
		if n, ok := t.citations(room); ok {
			rows = append(rows, atLeast("citations-per-1000-lines-"+room, n, minCitations))
		}
	}
	return rows
}

func atMost(rule string, value, limit float64) result {
	return result{rule: rule, value: number(value), limit: "max " + number(limit), ok: value <= limit}
}

func atLeast(rule string, value, limit float64) result {
	return result{rule: rule, value: number(value), limit: "min " + number(limit), ok: value >= limit}
}

func places(rule, limit string, items []item) result {
	return result{rule: rule, value: fmt.Sprint(len(items), " over"), limit: limit, ok: len(items) == 0, items: items}
}

func number(v float64) string { return strings.TrimSuffix(fmt.Sprintf("%.2f", v), ".00") }

// each gathers what find finds in every file.
func (t *tree) each(find func(*file) []item) []item {
	var items []item
	for _, f := range t.files {
		items = append(items, find(f)...)
	}
	return items
}

// rootEntries returns the names in the root that the style counts.
func (t *tree) rootEntries() []string {
	return slices.DeleteFunc(slices.Clone(t.root), func(name string) bool { return name == "go.mod" || name == "go.sum" })
}

// quantile returns the q-quantile of the lines of production files.
func (t *tree) quantile(q float64) float64 {
	var lines []int
	for _, f := range t.files {
		if !f.test {
			lines = append(lines, f.lines)
		}
	}
	if len(lines) == 0 {
		return 0
	}
	slices.Sort(lines)
	return float64(lines[min(int(q*float64(len(lines))), len(lines)-1)])
}

// testRatio compares test lines with production lines. Scenario files are tests: each line of them is a command or what is
// expected of it. internal/lab is production: its simulated peer and its clients ship in a program that people run, and
// what it gets wrong misleads whoever tries the gateway against it. The house's tools are neither: no user runs them, and
// their tests do not make up for those of what users run.
func (t *tree) testRatio() result {
	var test, production, script int
	for _, f := range t.files {
		switch {
		case strings.HasPrefix(f.path, toolsFolder):
		case f.test:
			test += f.lines
		default:
			production += f.lines
		}
	}
	for _, s := range t.scenarios {
		script += s.lines
	}
	ratio := 0.0
	if production > 0 {
		ratio = float64(test+script) / float64(production)
	}
	row := atLeast("test-to-production-lines", ratio, minTestRatio)
	row.note = fmt.Sprintf("%d lines of tests in Go and %d in scenario files, to %d of production (internal/lab is production, internal/tools is neither)",
		test, script, production)
	return row
}

// longPercent returns how many of a hundred production functions are long.
func (t *tree) longPercent() float64 {
	var all, long int
	for _, f := range t.files {
		if f.test {
			continue
		}
		for _, fn := range functions(f) {
			all++
			if f.lines > 0 && linesOf(f, fn) > longFunction {
				long++
			}
		}
	}
	if all == 0 {
		return 0
	}
	return 100 * float64(long) / float64(all)
}

// dependencies counts the modules that go.mod requires and does not mark as indirect.
func (t *tree) dependencies() int {
	n, inside := 0, false
	for line := range strings.Lines(t.gomod) {
		line = strings.TrimSpace(line)
		switch {
		case line == "require (":
			inside = true
		case line == ")":
			inside = false
		case (inside || strings.HasPrefix(line, "require ")) && line != "" && !strings.HasPrefix(line, "//") && !strings.Contains(line, "// indirect"):
			n++
		}
	}
	return n
}

// citations returns the RFC sections named per 1000 production lines of a room, and whether the room has any code.
func (t *tree) citations(room string) (float64, bool) {
	lines, marks := 0, 0
	for _, f := range t.files {
		if !f.test && (f.dir == room || strings.HasPrefix(f.dir, room+"/")) {
			lines += f.lines
			marks += len(citation().FindAllString(f.src, -1))
		}
	}
	if lines == 0 {
		return 0, false
	}
	return 1000 * float64(marks) / float64(lines), true
}
