package main

import "github.com/pion/rtp"

// frames knows which frames of a stream were forwarded whole. Browsers send packets again to probe the
// bandwidth, and so a packet that was dropped may come after all.
type frames struct {
	begun   map[uint32]bool   // by timestamp
	sent    map[uint16]bool   // by sequence number
	missing map[uint16]uint32 // the timestamps of packets that were dropped
}

func newFrames() *frames {
	return &frames{map[uint32]bool{}, map[uint16]bool{}, map[uint16]uint32{}}
}

func (f *frames) isSent(packet *rtp.Packet) {
	f.sent[packet.SequenceNumber] = true
	delete(f.missing, packet.SequenceNumber)
	f.begin(packet)
}

func (f *frames) isLost(packet *rtp.Packet) {
	if f.begin(packet) && !f.sent[packet.SequenceNumber] {
		f.missing[packet.SequenceNumber] = packet.Timestamp
	}
}

// begin tells whether a packet belongs to a frame; padding does not.
func (f *frames) begin(packet *rtp.Packet) bool {
	if len(packet.Payload) == 0 {
		return false
	}
	f.begun[packet.Timestamp] = true
	return true
}

// hit counts the frames of which a packet is missing.
func (f *frames) hit() int {
	those := map[uint32]bool{}
	for _, timestamp := range f.missing {
		those[timestamp] = true
	}
	return len(those)
}
