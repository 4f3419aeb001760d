package main

import (
	"slices"

	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v4"
)

const (
	everyLayer = 7   // there is no spatial layer above: it has three bits
	remembered = 512 // packets that are left out, so that late ones get their numbers
)

// layers leaves out the spatial layers of VP9 above one. RFC 9628: which layer a packet is of stands
// in its payload descriptor, which is no part of the frame; and a picture in which only the first of
// its layers is predicted from other pictures can be shown without those above.
type layers struct {
	wanted, now uint8
	gone        uint16   // packets left out that are no longer in skipped
	skipped     []uint16 // their sequence numbers, ascending
}

func newLayers(mimeType string) *layers {
	if mimeType != webrtc.MimeTypeVP9 {
		return nil
	}
	return &layers{wanted: everyLayer, now: everyLayer}
}

// take numbers a packet anew, or tells that it is to be left out. A higher layer begins with a key
// picture, and needsKey tells that it waits for one.
func (l *layers) take(packet *rtp.Packet) (sent, needsKey bool) {
	described := codecs.VP9Packet{}
	if _, err := described.Unmarshal(packet.Payload); err != nil { // padding
		packet.SequenceNumber -= l.before(packet.SequenceNumber)
		return true, false
	}
	if described.B && described.SID == 0 && (l.wanted < l.now || !described.P) {
		l.now = l.wanted
	}
	if described.SID > l.now {
		l.skip(packet.SequenceNumber)
		return false, l.wanted > l.now
	}
	// The last packet of a picture is marked, and what was the last may be left out.
	packet.Marker = packet.Marker || described.E && described.SID == l.now
	packet.SequenceNumber -= l.before(packet.SequenceNumber)
	return true, l.wanted > l.now
}

func (l *layers) skip(number uint16) {
	at := len(l.skipped)
	for at > 0 && int16(l.skipped[at-1]-number) > 0 {
		at--
	}
	l.skipped = slices.Insert(l.skipped, at, number)
	if len(l.skipped) > remembered {
		l.skipped = l.skipped[1:]
		l.gone++
	}
}

// before counts the packets left out before this one.
func (l *layers) before(number uint16) uint16 {
	at := len(l.skipped)
	for at > 0 && int16(l.skipped[at-1]-number) > 0 {
		at--
	}
	return l.gone + uint16(at)
}
