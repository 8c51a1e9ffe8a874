package bench

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/internal/lab"
)

// serverCore is the core of the server under test; everything else runs on the others.
const serverCore = 0

// clockTick is how many ticks a second has in /proc; Linux has told programs 100 for ever.
const clockTick = 100

// canPin reports whether processes can be bound to cores here.
func canPin() bool {
	_, err := exec.LookPath("taskset")
	return err == nil && runtime.NumCPU() > 1
}

// leaveServerCore keeps this process off the server's core.
func leaveServerCore(t *testing.T) {
	t.Helper()
	cores := runtime.NumCPU()
	if !canPin() {
		t.Logf("taskset is missing or there is one core: server and load share %d cores", cores)
		return
	}
	out, err := exec.Command("taskset", "-a", "-c", "-p", fmt.Sprintf("%d-%d", serverCore+1, cores-1), strconv.Itoa(os.Getpid())).CombinedOutput()
	if err != nil {
		t.Logf("cannot leave the server's core: %v: %s", err, out)
		return
	}
	runtime.GOMAXPROCS(cores - 1)
}

// process is a server under test.
type process struct {
	cmd *exec.Cmd
	log string // the file of what it writes
	t   *testing.T
}

// self is this program, for the servers that it can be.
func self(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// launch starts a server on its core. It is ended with the test at the latest.
func launch(t *testing.T, role, program string, args ...string) *process {
	t.Helper()
	if canPin() {
		program, args = "taskset", append([]string{"-c", strconv.Itoa(serverCore), program}, args...)
	}
	p := &process{cmd: exec.Command(program, args...), log: filepath.Join(t.TempDir(), "server.log"), t: t}
	out, err := os.Create(p.log)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.Env = append(os.Environ(), envRole+"="+role)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("starting a server: %v", err)
	}
	t.Cleanup(p.stop)
	return p
}

// stop ends the server and waits for it; a second call does nothing.
func (p *process) stop() {
	if p.cmd.ProcessState != nil {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may be gone
	kill := time.AfterFunc(10*time.Second, func() { _ = p.cmd.Process.Kill() })
	defer kill.Stop()
	_ = p.cmd.Wait() // killed by us, whatever it says
}

// signal sends a signal to the server.
func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatalf("signalling the server: %v", err)
	}
}

// said is what the server wrote, for a failure's message.
func (p *process) said() string {
	b, _ := os.ReadFile(p.log) // a missing file says nothing
	return string(b[max(0, len(b)-2000):])
}

// cpu is the processor time that the server has used.
func (p *process) cpu() time.Duration {
	p.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatalf("reading the server's time: %v; it said: %s", err, p.said())
	}
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:])) // the first is field 3 of proc(5)
	return ticks(p.t, fields[11]) + ticks(p.t, fields[12])
}

// memory is the resident memory of the server in bytes.
func (p *process) memory() int64 {
	p.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatalf("reading the server's memory: %v; it said: %s", err, p.said())
	}
	pages, err := strconv.ParseInt(strings.Fields(string(b))[1], 10, 64)
	if err != nil {
		p.t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}

func ticks(t *testing.T, s string) time.Duration {
	t.Helper()
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return time.Duration(n) * time.Second / clockTick
}

// machineBusy is the processor time that all processes of the machine have used.
func machineBusy(t *testing.T) time.Duration {
	t.Helper()
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(b), "\n")
	var sum time.Duration
	for i, f := range strings.Fields(line)[1:8] {
		if i != 3 && i != 4 { // idle, iowait
			sum += ticks(t, f)
		}
	}
	return sum
}

// ownCPU is the processor time that this process has used.
func ownCPU(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// freeAddress is a loopback address whose port is free for TCP and UDP now.
func freeAddress(t *testing.T) string {
	t.Helper()
	address, err := lab.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	return address
}

// eventually waits until a server is up.
func eventually(t *testing.T, p *process, what string, ready func() bool) {
	t.Helper()
	deadline := time.Now().Add(15 * time.Second)
	for !ready() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 15 s; the server said: %s", what, p.said())
		}
		time.Sleep(20 * time.Millisecond)
	}
}
