package coap

import (
	"bytes"
	"net"
	"testing"
	"time"
)

// Where the system refuses to make datagrams of a piece, they leave one by one.
func TestTrainWithoutTheSystem(t *testing.T) {
	from, to := systemPair(t)
	address := to.LocalAddr().(*net.UDPAddr)
	cut := newCutter(from, address)
	if cut == nil {
		t.Skip("the system makes no datagrams of a piece")
	}
	if cut.send(make([]byte, 2000), 1) || cut.able {
		t.Fatal("2,000 datagrams of one piece are no error")
	}
	train := newTrain(from, address, new(Counters))
	clear(train.cut.control) // a control message of no length is refused
	train.gather()
	for i := range 3 {
		_ = train.send(carNumber(3*i + 1))
	}
	train.depart()
	if train.cut != nil {
		t.Error("the system is asked again")
	}
	_ = to.SetReadDeadline(time.Now().Add(10 * time.Second))
	buf := make([]byte, maxDatagram)
	for i := range 3 {
		if n, err := to.Read(buf); err != nil || !bytes.Equal(buf[:n], carNumber(3*i+1)) {
			t.Fatalf("datagram %d is %q, %v", i, buf[:n], err)
		}
	}
}
