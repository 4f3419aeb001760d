package main

import (
	"fmt"
	"log"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// How long a subscriber waits for a publisher's first packets.
const patience = 60 * time.Second

// SFU holds every connection and every published track, by the name of its party.
type SFU struct {
	api  *webrtc.API
	dump string

	mu      sync.Mutex
	changed *sync.Cond // a track has come
	conns   map[string]*webrtc.PeerConnection
	tracks  map[string]map[string]*Track
	outs    map[string][]*Out
}

func newSFU(api *webrtc.API, dump string) *SFU {
	s := &SFU{
		api: api, dump: dump,
		conns:  map[string]*webrtc.PeerConnection{},
		tracks: map[string]map[string]*Track{},
		outs:   map[string][]*Out{},
	}
	s.changed = sync.NewCond(&s.mu)
	return s
}

// Track is one medium of a publisher, in all its simulcast layers.
type Track struct {
	kind  string
	codec webrtc.RTPCodecCapability
	conn  *webrtc.PeerConnection

	mu   sync.Mutex
	ssrc map[string]webrtc.SSRC // of each layer; the only layer of a track without simulcast is ""
	outs []*Out
}

func (s *SFU) publish(party, offer string) (string, error) {
	conn, err := s.connect(party)
	if err != nil {
		return "", err
	}
	conn.OnTrack(func(remote *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		s.receive(party, conn, remote)
	})
	return negotiate(conn, offer)
}

func (s *SFU) subscribe(party, name, rid, offer string) (string, error) {
	conn, err := s.connect(name)
	if err != nil {
		return "", err
	}
	tracks, err := s.tracksOf(party, offer)
	if err != nil {
		return "", err
	}
	for _, track := range tracks {
		out, err := newOut(track, conn, rid)
		if err != nil {
			return "", err
		}
		s.mu.Lock()
		s.outs[name] = append(s.outs[name], out)
		s.mu.Unlock()
	}
	return negotiate(conn, offer)
}

func (s *SFU) connect(name string) (*webrtc.PeerConnection, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns[name] != nil {
		return nil, fmt.Errorf("%q is connected already", name)
	}
	conn, err := s.api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return nil, err
	}
	conn.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
		log.Printf("%s: %s", name, state)
	})
	s.conns[name] = conn
	return conn, nil
}

// negotiate answers an offer, with all candidates in the answer.
func negotiate(conn *webrtc.PeerConnection, offer string) (string, error) {
	remote := webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer}
	if err := conn.SetRemoteDescription(remote); err != nil {
		return "", err
	}
	answer, err := conn.CreateAnswer(nil)
	if err != nil {
		return "", err
	}
	gathered := webrtc.GatheringCompletePromise(conn)
	if err := conn.SetLocalDescription(answer); err != nil {
		return "", err
	}
	<-gathered
	return conn.LocalDescription().SDP, nil
}

// tracksOf waits until the tracks of the media in an offer have come: their codecs are known by then.
func (s *SFU) tracksOf(party, offer string) ([]*Track, error) {
	kinds := slices.DeleteFunc([]string{"audio", "video"}, func(kind string) bool {
		return !strings.Contains(offer, "m="+kind+" ")
	})
	late := time.Now().Add(patience)
	timer := time.AfterFunc(patience, s.changed.Broadcast)
	defer timer.Stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		var tracks []*Track
		for _, kind := range kinds {
			if track := s.tracks[party][kind]; track != nil {
				tracks = append(tracks, track)
			}
		}
		if len(tracks) == len(kinds) {
			return tracks, nil
		}
		if time.Now().After(late) {
			return nil, fmt.Errorf("%q has sent packets of %d tracks of %v in %s",
				party, len(tracks), kinds, patience)
		}
		s.changed.Wait()
	}
}

// receive dumps and forwards one layer of a track until its party ends.
func (s *SFU) receive(party string, conn *webrtc.PeerConnection, remote *webrtc.TrackRemote) {
	track := s.layerHasCome(party, conn, remote)
	dump, err := newDump(s.dump, party, track.kind, remote.RID())
	if err != nil {
		log.Fatal(err)
	}
	defer dump.close()
	for {
		packet, _, err := remote.ReadRTP()
		if err != nil {
			return
		}
		if err := dump.write(packet); err != nil {
			log.Fatal(err)
		}
		track.forward(remote.RID(), packet)
	}
}

func (s *SFU) layerHasCome(
	party string, conn *webrtc.PeerConnection, remote *webrtc.TrackRemote,
) *Track {
	s.mu.Lock()
	defer s.mu.Unlock()
	kind := remote.Kind().String()
	if s.tracks[party] == nil {
		s.tracks[party] = map[string]*Track{}
	}
	track := s.tracks[party][kind]
	if track == nil {
		codec := remote.Codec().RTPCodecCapability
		track = &Track{kind: kind, codec: codec, conn: conn, ssrc: map[string]webrtc.SSRC{}}
		s.tracks[party][kind] = track
	}
	track.mu.Lock()
	track.ssrc[remote.RID()] = remote.SSRC()
	track.mu.Unlock()
	log.Printf("%s: %s %s layer %q", party, kind, track.codec.MimeType, remote.RID())
	s.changed.Broadcast()
	return track
}

func (t *Track) forward(rid string, packet *rtp.Packet) {
	t.mu.Lock()
	outs := t.outs
	t.mu.Unlock()
	for _, out := range outs {
		out.take(rid, packet)
	}
}

// first names the layer to begin with: this one if it has come, or the largest that has.
func (t *Track) first(rid string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, rid := range []string{rid, "h", "m", "l"} {
		if _, there := t.ssrc[rid]; there {
			return rid
		}
	}
	return ""
}

// askForKeyFrame sends the publisher a PLI for one layer.
func (t *Track) askForKeyFrame(rid string) {
	t.mu.Lock()
	ssrc, there := t.ssrc[rid]
	t.mu.Unlock()
	if there && t.kind == "video" {
		_ = t.conn.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: uint32(ssrc)}})
	}
}

func (s *SFU) eachOut(name string, do func(*Out)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.outs[name]) == 0 {
		return fmt.Errorf("nothing is forwarded to %q", name)
	}
	for _, out := range s.outs[name] {
		do(out)
	}
	return nil
}

func (s *SFU) end(name string) error {
	s.mu.Lock()
	conn := s.conns[name]
	outs := s.outs[name]
	delete(s.conns, name)
	delete(s.outs, name)
	delete(s.tracks, name)
	s.mu.Unlock()
	for _, out := range outs {
		out.leave()
	}
	if conn == nil {
		return fmt.Errorf("%q is not connected", name)
	}
	return conn.Close()
}
