package main

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pion/rtp"
)

// dump is what the SFU sees of a layer: RTP packets in a pcap, behind headers of IP and UDP that a
// capture would have.
type dump struct{ file *os.File }

func newDump(folder, party, kind, rid string) (*dump, error) {
	if folder == "" {
		return &dump{}, nil
	}
	name := strings.TrimSuffix(strings.Join([]string{party, kind, rid}, "-"), "-")
	file, err := os.Create(filepath.Join(folder, name+".pcap"))
	if err != nil {
		return nil, err
	}
	_, err = file.Write(pcapHeader())
	return &dump{file}, err
}

func (d *dump) write(packet *rtp.Packet) error {
	if d.file == nil {
		return nil
	}
	raw, err := packet.Marshal()
	if err != nil {
		return err
	}
	_, err = d.file.Write(append(pcapRecord(time.Now(), len(raw)), raw...))
	return err
}

// pcapHeader: version 2.4, packets that begin with an IP header (LINKTYPE_RAW).
func pcapHeader() []byte {
	header := binary.LittleEndian.AppendUint32(nil, 0xa1b2c3d4)
	header = binary.LittleEndian.AppendUint16(header, 2)
	header = binary.LittleEndian.AppendUint16(header, 4)
	for _, value := range []uint32{0, 0, 1 << 18, 101} { // zone, accuracy, longest packet, link type
		header = binary.LittleEndian.AppendUint32(header, value)
	}
	return header
}

// pcapRecord is what stands before a payload of this size: when it came, and IPv4 and UDP headers.
func pcapRecord(at time.Time, size int) []byte {
	const udp, ip = 8, 20
	whole := uint32(ip + udp + size)
	record := []byte{}
	for _, value := range []uint32{uint32(at.Unix()), uint32(at.Nanosecond() / 1000), whole, whole} {
		record = binary.LittleEndian.AppendUint32(record, value)
	}
	record = append(record, 0x45, 0, byte(whole>>8), byte(whole), 0, 0, 0, 0, 64, 17, 0, 0)
	record = append(record, 10, 99, 0, 2, 10, 99, 0, 1) // from, to
	record = binary.BigEndian.AppendUint16(record, 5004)
	record = binary.BigEndian.AppendUint16(record, 5004)
	record = binary.BigEndian.AppendUint16(record, uint16(udp+size))
	return append(record, 0, 0)
}

func (d *dump) close() {
	if d.file != nil {
		_ = d.file.Close()
	}
}
