package gateway

// adopt enters a mitigation in the tables, in place of old where there was one under its key.
func (c *Core) adopt(m, old *mitigation) {
	if old != nil {
		c.expel(old)
	}
	c.enter(m)
	if m.phase == live {
		c.out.Live = append(c.out.Live, m.key)
		c.watch(m)
	}
	c.bindCUID(m.key.Client)
	c.due.arm(m)
}

// enter puts a mitigation into the tables that find it.
func (c *Core) enter(m *mitigation) {
	c.mits[m.key] = m
	m.entered = true
	of := c.byClient[m.key.Client]
	if of == nil {
		of = map[uint32]*mitigation{}
		c.byClient[m.key.Client] = of
	}
	of[m.key.MID] = m
	if m.phase == live {
		c.liveOf[m.key.Client.Name]++
		c.liveIn[m.grant.Domain]++
	}
	c.index.Insert(m.key, m.grant.Domain, m.grant.Expanded)
	c.tally(m)
	c.touch(m)
}

// expel takes a mitigation out of the tables.
func (c *Core) expel(m *mitigation) {
	if !m.entered {
		return
	}
	delete(c.mits, m.key)
	m.entered = false
	of := c.byClient[m.key.Client]
	delete(of, m.key.MID)
	if len(of) == 0 {
		delete(c.byClient, m.key.Client)
		c.idleCUID(nameOf(m.key.Client))
	}
	if m.phase == live {
		c.over(m)
	}
	c.index.Delete(m.key)
	c.tally(m)
	c.touch(m)
	c.due.disarm(m)
}

// retire moves a live mitigation to a later phase.
func (c *Core) retire(m *mitigation, to phase) {
	if m.phase == live && to != live {
		c.over(m)
	}
	m.phase = to
	c.tally(m)
	c.touch(m)
}

// over takes a live mitigation out of what counts the live ones.
func (c *Core) over(m *mitigation) {
	name := m.key.Client.Name
	lower(c.liveOf, name)
	lower(c.liveIn, m.grant.Domain)
	c.out.Over = append(c.out.Over, m.key)
	c.unwatch(m)
}
