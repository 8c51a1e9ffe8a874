package app

import (
	"bytes"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dotsgate/dotsgate/downstream"
	"github.com/dotsgate/dotsgate/internal/coap"
)

// What two processes say to each other when the one hands over to the other (see handover.go): parcels, one in each packet of a
// pair of sockets that nobody else can reach. They hold keys, and are never shown nor kept.

// handoverVersion is of what is said and of what the types of a parcel mean. Processes that differ in it do not hand over.
const handoverVersion = 1

// Bounds of a parcel.
const (
	maxParcel   = 192 << 10 // bytes
	maxFiles    = 64        // descriptors
	maxRequests = 96 << 10  // bytes of the requests of a session's observations
)

var errParcel = errors.New("the other process says what makes no sense")

// parcel is one thing that is said: one of its fields.
type parcel struct {
	Hello   *helloParcel   // old to new: first
	Ready   *readyParcel   // new to old: all is checked and read that needs neither sockets nor store
	Sockets *socketsParcel // old to new, with their descriptors
	Session *sessionParcel // old to new
	Given   *givenParcel   // old to new: that was all, and the store is closed
	Running bool           // new to old: it serves
	Failed  string         // either way: why it does not go on
}

type helloParcel struct {
	Version int
	Token   []byte // of this hand-over: whoever does not know it takes nothing
}

type readyParcel struct {
	Version int
	Token   []byte
	Places  []string // whose sockets it wants
}

type socketsParcel struct {
	Place string
	Files int // how many come along
}

// sessionParcel is one session. They are numbered from 1 on without a gap, so that none is taken twice.
type sessionParcel struct {
	Number  int
	Place   string
	Session coap.Exported
	Server  downstream.Carried
}

type givenParcel struct {
	Token    []byte
	Sessions int
	Secret   []byte // of cookies
	// Redirects are the operator's words of where clients are to go.
	Redirects []downstream.Redirection
}

// pipe is one end of the pair. One goroutine sends, and one receives.
type pipe struct {
	conn *net.UnixConn
	out  bytes.Buffer
	in   bytes.Buffer
	enc  *gob.Encoder // of the whole exchange, so that types are described once
	dec  *gob.Decoder
	buf  []byte
	oob  []byte
}

// newPipe makes a pipe of an end, which is a packet socket.
func newPipe(conn *net.UnixConn) *pipe {
	p := &pipe{conn: conn, buf: make([]byte, maxParcel), oob: make([]byte, unix.CmsgSpace(4*maxFiles))}
	p.enc, p.dec = gob.NewEncoder(&p.out), gob.NewDecoder(&p.in)
	_ = conn.SetWriteBuffer(4 * maxParcel) // what the system gives is enough for any parcel
	return p
}

// send says something until the deadline, with files, which stay the caller's.
func (p *pipe) send(until time.Time, what parcel, files ...*os.File) error {
	p.out.Reset()
	if err := p.enc.Encode(what); err != nil {
		return fmt.Errorf("encoding for the other process: %w", err)
	}
	if p.out.Len() > maxParcel || len(files) > maxFiles {
		return fmt.Errorf("telling the other process: %d bytes and %d files in one parcel", p.out.Len(), len(files))
	}
	fds, err := descriptors(files)
	if err != nil {
		return err
	}
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	_ = p.conn.SetWriteDeadline(until) // the write tells
	if _, _, err := p.conn.WriteMsgUnix(p.out.Bytes(), rights, nil); err != nil {
		return fmt.Errorf("telling the other process: %w", err)
	}
	return nil
}

// descriptors are those of files. Fd would make the sockets blocking for everybody who has them.
func descriptors(files []*os.File) ([]int, error) {
	var fds []int
	for _, f := range files {
		raw, err := f.SyscallConn()
		if err == nil {
			err = raw.Control(func(fd uintptr) { fds = append(fds, int(fd)) })
		}
		if err != nil {
			return nil, fmt.Errorf("handing over a socket: %w", err)
		}
	}
	return fds, nil
}

// receive waits until the deadline for what the other says. The files are the caller's.
func (p *pipe) receive(until time.Time) (parcel, []*os.File, error) {
	_ = p.conn.SetReadDeadline(until) // the read tells
	n, oobn, flags, _, err := p.conn.ReadMsgUnix(p.buf, p.oob)
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("it has gone")
		}
		return parcel{}, nil, fmt.Errorf("hearing of the other process: %w", err)
	}
	files, err := filesOf(p.oob[:oobn])
	var what parcel
	if err == nil && flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
		err = errParcel
	}
	if err == nil {
		p.in.Reset()
		p.in.Write(p.buf[:n])
		err = p.dec.Decode(&what)
	}
	clear(p.buf[:n]) // it may hold keys
	if err != nil {
		closeFiles(files)
		return parcel{}, nil, fmt.Errorf("hearing of the other process: %w", err)
	}
	return what, files, nil
}

// filesOf are the files that came along.
func filesOf(oob []byte) ([]*os.File, error) {
	if len(oob) == 0 {
		return nil, nil
	}
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, fmt.Errorf("reading descriptors: %w", err)
	}
	var files []*os.File
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			closeFiles(files)
			return nil, fmt.Errorf("reading descriptors: %w", err)
		}
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), "handed over"))
		}
	}
	return files, nil
}

func closeFiles(files []*os.File) {
	for _, f := range files {
		_ = f.Close() // whoever uses the socket has a duplicate
	}
}

// close gives the end up, which the other notices.
func (p *pipe) close() { _ = p.conn.Close() } // nothing is lost by it
