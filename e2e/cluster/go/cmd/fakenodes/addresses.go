package main

import (
	"encoding/binary"
	"net/netip"
	"sync"
)

// The first address given to a pod of a fake node; nothing answers there.
var firstAddress = binary.BigEndian.Uint32(netip.MustParseAddr("10.128.0.1").AsSlice())

// addressPool hands out addresses that no pod of a fake node holds.
type addressPool struct {
	lock    sync.Mutex
	highest uint32
}

// taken records an address already in use, as seen after a restart of this program.
func (p *addressPool) taken(address string) {
	parsed, err := netip.ParseAddr(address)
	if err != nil || !parsed.Is4() {
		return
	}
	p.lock.Lock()
	defer p.lock.Unlock()
	p.highest = max(p.highest, binary.BigEndian.Uint32(parsed.AsSlice()))
}

func (p *addressPool) next() string {
	p.lock.Lock()
	defer p.lock.Unlock()
	p.highest = max(p.highest+1, firstAddress)
	var raw [4]byte
	binary.BigEndian.PutUint32(raw[:], p.highest)
	return netip.AddrFrom4(raw).String()
}
