package app

import (
	"bufio"
	"bytes"
	"io/fs"
	"log/slog"
	"path"
	"runtime/debug"
	"strconv"
	"strings"
)

const (
	// gcPercent lets garbage grow to four times what lives before it is collected: a fifth to a quarter of all instructions less than with Go's
	// 100, while the heap is small. It needs a limit, near which Go collects more often whatever this says.
	gcPercent = 400
	// ofGroup and ofMachine are the shares of what there is that the process takes as its limit: a control group holds buffers of the
	// kernel besides, and a machine other processes.
	ofGroup, ofMachine = 0.8, 0.5
)

// Memory is what was decided about the collection of garbage.
type Memory struct {
	Percent int   // GOGC; 0: left alone
	Limit   int64 // GOMEMLIMIT in bytes; 0: left alone
	Why     string
}

// PlanMemory decides what the environment leaves open. root is the system's root directory, and getenv reads the environment. What the
// operator has set is never changed: with either variable set, both are his.
func PlanMemory(root fs.FS, getenv func(string) string) Memory {
	for _, name := range []string{"GOGC", "GOMEMLIMIT"} {
		if getenv(name) != "" {
			return Memory{Why: name + " is set"}
		}
	}
	if most, ok := groupLimit(root); ok {
		return Memory{gcPercent, int64(float64(most) * ofGroup), "80 % of the control group's limit"}
	}
	if most, ok := machineMemory(root); ok {
		return Memory{gcPercent, int64(float64(most) * ofMachine), "half of the machine's memory"}
	}
	return Memory{Why: "it cannot be told how much memory there is"}
}

// Apply puts the decision in force for the whole process, and says so.
func (m Memory) Apply(log *slog.Logger) {
	if m.Limit == 0 {
		log.Info("memory is collected as Go and the environment have it", "reason", m.Why)
		return
	}
	debug.SetGCPercent(m.Percent)
	debug.SetMemoryLimit(m.Limit)
	log.Info("memory is collected for few collections", "gogc", m.Percent, "gomemlimit", m.Limit, "reason", m.Why)
}

// groupLimit is the least limit of the process's control group (version 2) and those above it.
func groupLimit(root fs.FS) (least uint64, found bool) {
	raw, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return 0, false
	}
	name, ok := groupName(raw)
	if !ok {
		return 0, false
	}
	for dir := path.Join("sys/fs/cgroup", path.Clean("/"+name)); strings.HasPrefix(dir, "sys/fs/cgroup"); dir = path.Dir(dir) {
		raw, err := fs.ReadFile(root, path.Join(dir, "memory.max"))
		if err != nil {
			continue // the root group has none
		}
		n, err := strconv.ParseUint(string(bytes.TrimSpace(raw)), 10, 63)
		if err != nil || n == 0 {
			continue // "max"
		}
		if !found || n < least {
			least, found = n, true
		}
	}
	return least, found
}

// groupName finds the line of version 2: "0::/name".
func groupName(raw []byte) (string, bool) {
	lines := bufio.NewScanner(bytes.NewReader(raw))
	for lines.Scan() {
		if name, ok := strings.CutPrefix(lines.Text(), "0::"); ok {
			return name, true
		}
	}
	return "", false
}

// machineMemory is the machine's memory in bytes.
func machineMemory(root fs.FS) (uint64, bool) {
	raw, err := fs.ReadFile(root, "proc/meminfo")
	if err != nil {
		return 0, false
	}
	lines := bufio.NewScanner(bytes.NewReader(raw))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) == 3 && fields[0] == "MemTotal:" && fields[2] == "kB" {
			n, err := strconv.ParseUint(fields[1], 10, 53)
			return n << 10, err == nil && n > 0
		}
	}
	return 0, false
}
