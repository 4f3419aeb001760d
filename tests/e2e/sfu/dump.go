package main

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"

	"github.com/pion/rtp"
)

// dump is what the SFU sees of a layer: RTP packets, before each its size in two bytes.
type dump struct{ file *os.File }

func newDump(folder, party, kind, rid string) (*dump, error) {
	if folder == "" {
		return &dump{}, nil
	}
	name := strings.TrimSuffix(strings.Join([]string{party, kind, rid}, "-"), "-")
	file, err := os.Create(filepath.Join(folder, name+".rtp"))
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
	sized := binary.BigEndian.AppendUint16(nil, uint16(len(raw)))
	_, err = d.file.Write(append(sized, raw...))
	return err
}

func (d *dump) close() {
	if d.file != nil {
		_ = d.file.Close()
	}
}
