package api

import (
	"encoding/binary"
	"fmt"
	"io"

	"sealpost/internal/strictjson"
)

const frameHeader = 4

// Frame encodes a framed body's start: the length of head's JSON in four bytes, then that JSON. The
// raw bytes follow it.
func Frame(head any) ([]byte, error) {
	exact, err := strictjson.Marshal(head)
	if err != nil {
		return nil, fmt.Errorf("frame: %w", err)
	}
	if len(exact) > MaxJSON {
		return nil, fmt.Errorf("frame: %d bytes of JSON: %w", len(exact), ErrTooLarge)
	}
	framed := make([]byte, frameHeader, frameHeader+len(exact))
	binary.BigEndian.PutUint32(framed, uint32(len(exact)))
	return append(framed, exact...), nil
}

// ReadFrame reads a framed body's JSON, at most limit bytes, and leaves r at the first raw byte.
// Its buffer grows with the bytes that arrive, not with the announced length.
func ReadFrame(r io.Reader, limit int) ([]byte, error) {
	var header [frameHeader]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return nil, fmt.Errorf("frame: %w", err)
	}
	size := binary.BigEndian.Uint32(header[:])
	if int64(size) > int64(limit) {
		return nil, fmt.Errorf("frame: %d bytes of JSON: %w", size, ErrTooLarge)
	}
	exact, err := ReadExactly(r, int64(size))
	if err != nil {
		return nil, fmt.Errorf("frame: %w", err)
	}
	return exact, nil
}

// ReadExactly reads size bytes. Its buffer grows with the bytes that arrive, not with the announced
// size.
func ReadExactly(r io.Reader, size int64) ([]byte, error) {
	const step = 64 << 10
	buf := make([]byte, 0, min(size, step))
	for int64(len(buf)) < size {
		if len(buf) == cap(buf) {
			grown := make([]byte, len(buf), min(size, int64(4*cap(buf))))
			copy(grown, buf)
			buf = grown
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if err == io.EOF && int64(len(buf)) < size {
			return nil, io.ErrUnexpectedEOF
		}
		if err != nil && err != io.EOF {
			return nil, err
		}
	}
	return buf, nil
}
