package app

import (
	"bytes"
	"log/slog"
	"math"
	"runtime/debug"
	"strings"
	"testing"
	"testing/fstest"
)

func TestPlanMemory(t *testing.T) {
	const group = "80 % of the control group's limit"
	const machine = "half of the machine's memory"
	meminfo := "MemFree: 5 kB\nMemTotal:       1000 kB\n"
	tests := []struct {
		name  string
		env   map[string]string
		files map[string]string
		want  Memory
	}{
		{"nothing is known", nil, nil, Memory{Why: "it cannot be told how much memory there is"}},
		{"the machine", nil, map[string]string{"proc/meminfo": meminfo}, Memory{400, 512000, machine}},
		{"the machine in other words", nil, map[string]string{"proc/meminfo": "MemTotal: many\n"}, Memory{Why: "it cannot be told how much memory there is"}},
		{"a control group", nil, map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "0::/system.slice/dotsgate.service\n",
			"sys/fs/cgroup/system.slice/dotsgate.service/memory.max": "100000\n",
		}, Memory{400, 80000, group}},
		{"a group above has less", nil, map[string]string{
			"proc/self/cgroup": "12:cpu:/x\n0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "100000\n", "sys/fs/cgroup/a/memory.max": "50000\n",
		}, Memory{400, 40000, group}},
		{"a container's own root", nil, map[string]string{
			"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "200000\n",
		}, Memory{400, 160000, group}},
		{"a group without a limit", nil, map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": "max\n",
		}, Memory{400, 512000, machine}},
		{"a name that leads elsewhere", nil, map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "0::/../../etc\n", "etc/memory.max": "1\n",
		}, Memory{400, 512000, machine}},
		{"version 1", nil, map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "3:memory:/a\n"}, Memory{400, 512000, machine}},
		{"the operator's limit", map[string]string{"GOMEMLIMIT": "1GiB"}, map[string]string{"proc/meminfo": meminfo}, Memory{Why: "GOMEMLIMIT is set"}},
		{"the operator's share", map[string]string{"GOGC": "100"}, map[string]string{"proc/meminfo": meminfo}, Memory{Why: "GOGC is set"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := fstest.MapFS{}
			for name, text := range tt.files {
				root[name] = &fstest.MapFile{Data: []byte(text)}
			}
			got := PlanMemory(root, func(name string) string { return tt.env[name] })
			if got != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestApplyMemory(t *testing.T) {
	percent, limit := debug.SetGCPercent(100), debug.SetMemoryLimit(math.MaxInt64)
	t.Cleanup(func() { debug.SetGCPercent(percent); debug.SetMemoryLimit(limit) })
	var lines bytes.Buffer
	log := slog.New(slog.NewTextHandler(&lines, nil))

	Memory{Why: "left"}.Apply(log)
	if got := debug.SetMemoryLimit(-1); got != math.MaxInt64 {
		t.Errorf("the limit is %d", got)
	}
	Memory{Percent: 400, Limit: 1 << 40, Why: "told"}.Apply(log)
	if got := debug.SetMemoryLimit(-1); got != 1<<40 {
		t.Errorf("the limit is %d", got)
	}
	if got := debug.SetGCPercent(100); got != 400 {
		t.Errorf("GOGC is %d", got)
	}
	for _, want := range []string{"reason=left", "gogc=400 gomemlimit=1099511627776 reason=told"} {
		if !strings.Contains(lines.String(), want) {
			t.Errorf("no %s in %s", want, &lines)
		}
	}
}
