// Command budgets measures the tree against the house's size and form budgets, prints a table of value, limit and verdict,
// and exits 1 on a miss that the allow-list does not excuse. It reads the tree as text: what does not compile is measured too.
//
// Test lines are those of test files, of packages made for tests and of scenario files: *.txt in gateway/testdata, and *.txtar
// in any testdata. Production lines are all others, those of internal/lab among them; internal/tools counts for neither.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
)

func main() {
	root := flag.String("root", ".", "the module's folder")
	allow := flag.String("allow", "internal/tools/budgets/allow.txt", "the misses that are excused, relative to root: rule, place, reason")
	flag.Parse()
	ok, err := run(os.Stdout, *root, *allow)
	if err != nil {
		fmt.Fprintln(os.Stderr, "budgets:", err)
		os.Exit(2)
	}
	if !ok {
		os.Exit(1)
	}
}

// run measures the module in root and reports whether it keeps within its budgets.
func run(w io.Writer, root, allow string) (bool, error) {
	fsys := os.DirFS(root)
	t, err := load(fsys)
	if err != nil {
		return false, err
	}
	excuses, err := loadExcuses(fsys, allow)
	if err != nil {
		return false, err
	}
	return report(w, measure(t), excuses)
}
