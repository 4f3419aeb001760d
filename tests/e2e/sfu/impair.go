package main

import (
	"hash/fnv"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// Impairment is what a bad network or a bad server does. Packets are numbered from the moment it is
// set, and what happens to a packet depends on its number alone: two streams with the same
// impairment suffer alike.
type Impairment struct {
	Drop      float64 `json:"drop"`      // percent
	Delay     int     `json:"delay"`     // milliseconds
	Reorder   int     `json:"reorder"`   // every n-th packet comes after the next one; 0: none
	Duplicate int     `json:"duplicate"` // every n-th comes twice
	Alter     int     `json:"alter"`     // of every n-th the last bit is flipped
	Packets   int     `json:"packets"`   // after so many it is over; 0: it goes on
}

type impaired struct {
	how    Impairment
	count  int
	held   *rtp.Packet // out of order: sent behind the next one
	frames *frames
}

// delivery is a packet with the time that it is still to take.
type delivery struct {
	packet *rtp.Packet
	delay  time.Duration
}

func (d delivery) send(local *webrtc.TrackLocalStaticRTP) {
	if d.delay == 0 {
		_ = local.WriteRTP(d.packet) // fails when the subscriber has gone
		return
	}
	time.AfterFunc(d.delay, func() { _ = local.WriteRTP(d.packet) })
}

func (i *impaired) apply(packet *rtp.Packet, stats *Stats) []delivery {
	number := i.count
	i.count++
	if i.how.Packets > 0 && number >= i.how.Packets {
		stats.Unharmed++
		return i.deliver(stats, packet)
	}
	if lost(number, i.how.Drop) {
		stats.Dropped++
		i.frames.isLost(packet)
		return i.deliver(stats)
	}
	if every(i.how.Alter, number) && len(packet.Payload) > 0 {
		stats.Altered++
		packet.Payload[len(packet.Payload)-1] ^= 1
	}
	if every(i.how.Reorder, number) && i.held == nil {
		stats.Reordered++
		i.held = packet
		return nil
	}
	if every(i.how.Duplicate, number) {
		stats.Duplicated++
		return i.deliver(stats, packet, packet.Clone())
	}
	return i.deliver(stats, packet)
}

// deliver sends packets, and behind them the one that was held back.
func (i *impaired) deliver(stats *Stats, packets ...*rtp.Packet) []delivery {
	if i.held != nil {
		packets = append(packets, i.held)
		i.held = nil
	}
	var ways []delivery
	for _, packet := range packets {
		stats.Forwarded++
		i.frames.isSent(packet)
		ways = append(ways, delivery{packet, time.Duration(i.how.Delay) * time.Millisecond})
	}
	return ways
}

func every(n, number int) bool { return n > 0 && number%n == n-1 }

// lost draws by the packet's number, so that the draw is the same in every stream and run.
func lost(number int, percent float64) bool {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte{byte(number), byte(number >> 8), byte(number >> 16), 'l'})
	return float64(hash.Sum32()%10_000) < percent*100
}
