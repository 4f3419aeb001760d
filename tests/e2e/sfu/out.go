package main

import (
	"slices"
	"sync"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// Out is one track on its way to one subscriber. A subscriber sees one stream, whose sequence
// numbers and timestamps go on through every change of layers.
type Out struct {
	track *Track
	local *webrtc.TrackLocalStaticRTP

	mu       sync.Mutex
	wanted   string // the layer that is wanted
	now      string // the layer that is forwarded
	started  bool
	seq      uint16 // to add to a packet's own, as ts
	ts       uint32
	lastSeq  uint16 // sent
	lastTS   uint32
	lastTime time.Time
	asked    time.Time // for a key frame
	layers   *layers   // of VP9
	impaired impaired
	frames   *frames
	counted  Stats
}

// The spatial layers that are called by the names of simulcast's.
var spatial = map[string]uint8{"l": 0, "m": 1, "h": everyLayer}

// Stats is what became of the packets for one Out.
type Stats struct {
	Forwarded  int    `json:"forwarded"`
	Dropped    int    `json:"dropped"`
	Duplicated int    `json:"duplicated"`
	Reordered  int    `json:"reordered"`
	Altered    int    `json:"altered"`
	Unharmed   int    `json:"unharmed"` // after an impairment that is over
	Frames     int    `json:"frames"`   // begun
	Hit        int    `json:"hit"`      // of these, by a packet that was dropped
	Switches   int    `json:"switches"`
	Layer      string `json:"layer"`
}

func newOut(track *Track, conn *webrtc.PeerConnection, rid string) (*Out, error) {
	local, err := webrtc.NewTrackLocalStaticRTP(track.codec, track.kind, "sfu")
	if err != nil {
		return nil, err
	}
	sender, err := conn.AddTrack(local)
	if err != nil {
		return nil, err
	}
	out := &Out{track: track, local: local, wanted: track.first(rid), frames: newFrames()}
	out.layers = newLayers(track.codec.MimeType)
	out.impair(Impairment{})
	track.mu.Lock()
	track.outs = append(slices.Clone(track.outs), out)
	track.mu.Unlock()
	go out.listen(sender)
	return out, nil
}

// listen passes a subscriber's wish for a key frame on to the publisher.
func (o *Out) listen(sender *webrtc.RTPSender) {
	for {
		packets, _, err := sender.ReadRTCP()
		if err != nil {
			return
		}
		for _, packet := range packets {
			switch packet.(type) {
			case *rtcp.PictureLossIndication, *rtcp.FullIntraRequest:
				o.track.askForKeyFrame(o.stats().Layer)
			}
		}
	}
}

func (o *Out) kind() string { return o.track.kind }

func (o *Out) wish(rid string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.layers != nil:
		o.layers.wanted = spatial[rid]
	case o.kind() == "video":
		o.wanted = rid
	}
}

func (o *Out) impair(how Impairment) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.impaired = impaired{how: how, frames: o.frames}
	o.counted.Unharmed = 0
}

func (o *Out) stats() Stats {
	o.mu.Lock()
	defer o.mu.Unlock()
	stats := o.counted
	stats.Layer = o.now
	stats.Frames, stats.Hit = len(o.frames.begun), o.frames.hit()
	return stats
}

func (o *Out) leave() {
	o.track.mu.Lock()
	defer o.track.mu.Unlock()
	o.track.outs = slices.DeleteFunc(slices.Clone(o.track.outs), func(other *Out) bool {
		return other == o
	})
}

// take forwards a packet if it is of the layer that is forwarded, or of the one that now begins.
func (o *Out) take(rid string, packet *rtp.Packet) {
	o.mu.Lock()
	if rid == o.wanted && (!o.started || rid != o.now) {
		o.begin(rid, packet)
	}
	if !o.started || rid != o.now {
		o.mu.Unlock()
		return
	}
	sent := packet.Clone()
	if !o.isSent(sent) {
		o.mu.Unlock()
		return
	}
	o.rewrite(sent)
	ways := o.impaired.apply(sent, &o.counted)
	o.mu.Unlock()
	for _, way := range ways {
		way.send(o.local)
	}
}

// begin changes the layer if the packet is the first of a key frame, and else asks for one. Of
// codecs in one layer nothing is known here: they begin anywhere.
func (o *Out) begin(rid string, packet *rtp.Packet) {
	if rid != "" && !startsKeyFrame(o.track.codec.MimeType, packet.Payload) {
		o.askForKeyFrame(rid)
		return
	}
	if o.started {
		o.counted.Switches++
		passed := uint32(time.Since(o.lastTime).Seconds() * float64(o.track.codec.ClockRate))
		o.seq = o.lastSeq + 1 - packet.SequenceNumber
		o.ts = o.lastTS + passed + 1 - packet.Timestamp
	} else if o.kind() == "video" {
		o.asked = time.Now()
		go o.track.askForKeyFrame(rid)
	}
	o.now, o.started = rid, true
}

func (o *Out) askForKeyFrame(rid string) {
	if time.Since(o.asked) > 500*time.Millisecond {
		o.asked = time.Now()
		go o.track.askForKeyFrame(rid)
	}
}

// isSent leaves out packets of spatial layers that are not wanted.
func (o *Out) isSent(packet *rtp.Packet) bool {
	if o.layers == nil {
		return true
	}
	sent, needsKey := o.layers.take(packet)
	if needsKey {
		o.askForKeyFrame(o.now)
	}
	return sent
}

func (o *Out) rewrite(sent *rtp.Packet) {
	sent.SequenceNumber += o.seq
	sent.Timestamp += o.ts
	// The subscriber has agreed on other numbers of extensions than the publisher.
	sent.Extension, sent.Extensions = false, nil
	if int16(sent.SequenceNumber-o.lastSeq) > 0 || o.lastTime.IsZero() {
		o.lastSeq, o.lastTS, o.lastTime = sent.SequenceNumber, sent.Timestamp, time.Now()
	}
}
