package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
)

// checker knows what exists.
type checker struct {
	targets map[string]bool
	exists  func(path string) bool
	help    func(program string, args []string) (string, error)
}

// document returns the faults of one document, and how many commands it shows. Commands are the lines of fenced blocks
// marked sh, bash, shell or console (there, only lines that begin with "$ "); a line that ends in \ goes on in the next.
func (c *checker) document(name, text string) (faults []string, commands int) {
	language, command := "", ""
	fenced := false
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "```"):
			fenced, language, command = !fenced, strings.TrimPrefix(line, "```"), ""
		case !fenced:
			faults = append(faults, c.links(name, n, line)...)
		case slices.Contains([]string{"sh", "bash", "shell", "console"}, language):
			part, more := strings.CutSuffix(shown(language, line), `\`)
			command += part
			if more {
				continue
			}
			count, bad := c.command(command)
			commands += count
			for _, b := range bad {
				faults = append(faults, fmt.Sprintf("%s:%d: %s", name, n, b))
			}
			command = ""
		}
	}
	return faults, commands
}

// shown returns the command in a line of a block, empty where it is output.
func shown(language, line string) string {
	command, prompt := strings.CutPrefix(line, "$ ")
	if language == "console" && !prompt {
		return ""
	}
	return command
}

// links checks the targets of [text](target) and [text](target "title") that are files of the project.
func (c *checker) links(name string, n int, line string) []string {
	var faults []string
	for _, m := range regexp.MustCompile(`\]\(([^)\s]+)(?:\s[^)]*)?\)`).FindAllStringSubmatch(line, -1) {
		target, _, _ := strings.Cut(m[1], "#")
		if target == "" || strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
			continue
		}
		if !c.exists(path.Join(path.Dir(name), target)) {
			faults = append(faults, fmt.Sprintf("%s:%d: the link to %s leads nowhere", name, n, m[1]))
		}
	}
	return faults
}

// command checks a shell line, which may hold several commands, and returns how many it knows and what is wrong.
func (c *checker) command(line string) (int, []string) {
	count := 0
	var faults []string
	for _, part := range regexp.MustCompile(`&&|\|\||[;|&]`).Split(stripped(line), -1) {
		words := strings.Fields(part)
		for len(words) > 0 && (words[0] == "sudo" || regexp.MustCompile(`^[A-Z_]+=`).MatchString(words[0])) {
			words = words[1:]
		}
		if len(words) == 0 {
			continue
		}
		program := path.Base(words[0])
		switch {
		case program == "make":
			count++
			faults = append(faults, c.makeTargets(words[1:])...)
		case strings.HasPrefix(program, "dots"):
			count++
			faults = append(faults, c.ours(program, words[1:])...)
		}
	}
	return count, faults
}

// stripped returns a shell line without quoted text and comments.
func stripped(line string) string {
	line = regexp.MustCompile(`'[^']*'|"[^"]*"`).ReplaceAllString(line, "Q")
	if i := strings.Index(" "+line, " #"); i >= 0 {
		line = line[:i]
	}
	return line
}

func (c *checker) makeTargets(words []string) []string {
	var faults []string
	for _, w := range words {
		if !strings.HasPrefix(w, "-") && !strings.Contains(w, "=") && !c.targets[w] {
			faults = append(faults, "there is no make target "+w)
		}
	}
	return faults
}

// ours checks a call of one of our programs: that the program is ours, and, where it is built, that the subcommands and
// flags are those its help shows.
func (c *checker) ours(program string, words []string) []string {
	if !c.exists("cmd/" + program) {
		return []string{"there is no program " + program}
	}
	verbs, flags := split(words)
	text, err := c.help(program, verbs)
	if errors.Is(err, fs.ErrNotExist) { // not built: nothing to ask
		return nil
	}
	if err != nil {
		return []string{fmt.Sprintf("%s %s --help fails: %v", program, strings.Join(verbs, " "), err)}
	}
	var faults []string
	if len(verbs) > 0 && !strings.Contains(text, program+" "+verbs[0]) {
		faults = append(faults, fmt.Sprintf("%s has no command %s", program, verbs[0]))
	}
	for _, f := range flags {
		if !regexp.MustCompile(`(^|[\s,])` + regexp.QuoteMeta(f) + `([\s,=]|$)`).MatchString(text) {
			faults = append(faults, fmt.Sprintf("%s has no flag %s", strings.Join(append([]string{program}, verbs...), " "), f))
		}
	}
	return faults
}

// split tells the subcommands of a command line, which stand before its flags, from its flags.
func split(words []string) (verbs, flags []string) {
	for _, w := range words {
		switch {
		case w == "-" || w == "--":
		case strings.HasPrefix(w, "-"):
			flag, _, _ := strings.Cut(w, "=")
			flags = append(flags, flag)
		case len(flags) == 0 && regexp.MustCompile(`^[a-z][a-z-]*$`).MatchString(w):
			verbs = append(verbs, w)
		}
	}
	return verbs, flags
}
