package udp

// Counters are what a queue has done since it was made, and how it stands.
type Counters struct {
	Received uint64 // datagrams handed on
	Sent     uint64 // datagrams that the system took
	Dropped  uint64 // datagrams to send that found the outbox full
	Failed   uint64 // datagrams that the system refused to send
	Cut      uint64 // datagrams received that were longer than MaxDatagram; they are dropped
	Lost     uint64 // datagrams that the system dropped because its receive buffer was full; 0 where it does not tell
	Queued   int    // datagrams in the outbox now
	Waiting  int    // what is in the system's receive buffer now, in bytes as it counts them
	Room     int    // bytes that this buffer may hold; 0 where the system does not tell
}

// Counters are those of each queue, by its number. It asks the system: it is for whoever looks from time to time.
func (s *Sockets) Counters() []Counters {
	all := make([]Counters, len(s.queues))
	for i, q := range s.queues {
		all[i] = q.counters()
	}
	return all
}

func (q *Queue) counters() Counters {
	c := Counters{
		Received: q.received.Load(), Sent: q.sent.Load(), Dropped: q.dropped.Load(),
		Failed: q.failed.Load(), Cut: q.cut.Load(), Queued: q.box.length(),
	}
	kernel(q.conn, &c)
	return c
}
