package main

import (
	"bytes"

	"github.com/pion/webrtc/v4"
)

var startCode = []byte{0x9d, 0x01, 0x2a} // of VP8's key frames: RFC 6386 9.1

// startsKeyFrame tells whether a layer can begin with this packet, from what a server sees: RFC 7741
// for VP8; RFC 6184 for H.264, where a key frame begins with its parameter sets.
func startsKeyFrame(mimeType string, payload []byte) bool {
	switch mimeType {
	case webrtc.MimeTypeVP8:
		frame, first := behindVP8Descriptor(payload)
		return first && len(frame) > 5 && frame[0]&1 == 0 && bytes.Equal(frame[3:6], startCode)
	case webrtc.MimeTypeH264:
		return startsWithNAL(payload, 7)
	}
	return false
}

// behindVP8Descriptor gives what follows the payload descriptor, and whether a frame begins there.
func behindVP8Descriptor(payload []byte) ([]byte, bool) {
	if len(payload) < 2 {
		return nil, false
	}
	first := payload[0]&0x1f == 0x10 // S = 1, PID = 0
	size := 1
	if payload[0]&0x80 != 0 { // X
		extension := payload[1]
		size = 2
		if extension&0x80 != 0 { // I: PictureID, of 15 bits where M is set
			if size < len(payload) && payload[size]&0x80 != 0 {
				size++
			}
			size++
		}
		if extension&0x40 != 0 { // L
			size++
		}
		if extension&0x30 != 0 { // T or K
			size++
		}
	}
	if size >= len(payload) {
		return nil, false
	}
	return payload[size:], first
}

func startsWithNAL(payload []byte, wanted byte) bool {
	if len(payload) < 4 {
		return false
	}
	kind := payload[0] & 0x1f
	if kind == 24 { // STAP-A: the first of the units in it
		kind = payload[3] & 0x1f
	}
	return kind == wanted
}
