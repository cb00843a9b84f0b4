//go:build linux

package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"sealpost/certs"
	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/spool"
)

// line measures the connection between an agent and the hub alone. It has the hub's keys, the
// agent's client, and a hub that stores nothing.
type line struct {
	client *api.Client
	server *http.Server
	served chan error

	mu     sync.Mutex // guards the next answer
	file   *os.File
	answer []byte
}

func (w *workshop) listen() (*line, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	n := &line{client: w.client(l.Addr().String()), served: make(chan error, 1)}
	mux := http.NewServeMux()
	mux.HandleFunc("PUT "+api.PathUploads+"/{envelope}/{part}", n.swallow)
	mux.HandleFunc("POST "+api.PathPublish, n.swallow)
	mux.HandleFunc("POST "+api.PathContent, n.content)
	mux.HandleFunc("POST "+api.PathLease, n.lease)
	n.server = &http.Server{Handler: mux, Protocols: &protocols, ReadHeaderTimeout: time.Minute}
	go func() { n.served <- n.server.Serve(tls.NewListener(l, certs.ServerTLS(w.hub))) }()
	return n, nil
}

func (n *line) close() error {
	err := n.server.Close()
	if served := <-n.served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

var buffers = sync.Pool{New: func() any { return new([256 << 10]byte) }}

func (n *line) swallow(w http.ResponseWriter, r *http.Request) {
	buf := buffers.Get().(*[256 << 10]byte)
	defer buffers.Put(buf)
	//nolint:errcheck // the client sees it
	io.CopyBuffer(struct{ io.Writer }{io.Discard}, r.Body, buf[:])
	json.NewEncoder(w).Encode(api.Published{}) //nolint:errcheck // the client sees it
}

func (n *line) content(w http.ResponseWriter, r *http.Request) {
	var in api.ContentRequest
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Length", strconv.FormatInt(in.Length, 10))
	buf := buffers.Get().(*[256 << 10]byte)
	defer buffers.Put(buf)
	part := io.NewSectionReader(n.file, in.Offset, in.Length)
	//nolint:errcheck // the client sees it
	io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{part}, buf[:])
}

func (n *line) lease(w http.ResponseWriter, _ *http.Request) {
	n.mu.Lock()
	defer n.mu.Unlock()
	w.Header().Set("Content-Length", strconv.Itoa(len(n.answer)))
	w.Write(n.answer) //nolint:errcheck // the client sees it
}

// putAll uploads a large ciphertext to the hub.
func (n *line) putAll(ctx context.Context, c ciphertext) error {
	f, err := os.Open(c.path)
	if err != nil {
		return err
	}
	defer f.Close()
	return ranges(c.Size, api.PartSize, func(offset, size int64) error {
		part := int(offset / api.PartSize)
		return n.client.PutPart(ctx, c.req.Envelope, part, c.CRC32C[part],
			io.NewSectionReader(f, offset, size), size)
	})
}

// readAll fetches a large ciphertext from the hub.
func (n *line) readAll(ctx context.Context, c ciphertext) (err error) {
	if n.file, err = os.Open(c.path); err != nil {
		return err
	}
	defer n.file.Close()
	var free = sync.Pool{New: func() any { b := make([]byte, api.RangeSize); return &b }}
	return ranges(c.Size, api.RangeSize, func(offset, size int64) error {
		body, err := n.client.Content(ctx,
			api.ContentRequest{Delivery: spool.DeliveryID{Envelope: c.req.Envelope}, Offset: offset,
				Length: size})
		if err != nil {
			return err
		}
		defer body.Close()
		buf := free.Get().(*[]byte)
		defer free.Put(buf)
		_, err = io.ReadFull(body, (*buf)[:size])
		return err
	})
}

func ranges(size, step int64, do func(offset, size int64) error) error {
	var all []int64
	for offset := int64(0); offset < size; offset += step {
		all = append(all, offset)
	}
	return several(all, func(offset int64) error { return do(offset, min(step, size-offset)) })
}

// publishAll publishes small envelopes at the hub.
func (n *line) publishAll(ctx context.Context, list []ciphertext) error {
	return several(list, func(c ciphertext) error {
		e := c.envelope()
		in := api.PublishRequest{Envelope: e.ID, Address: e.Address, Size: e.Size, CRC32C: e.CRC32C,
			Messages: e.Messages}
		for _, d := range e.Deliveries {
			in.Recipients = append(in.Recipients, d.Site)
		}
		_, err := n.client.Publish(ctx, in, c.content)
		return err
	})
}

// leaseAll fetches small envelopes from the hub, as many in one answer as fit.
func (n *line) leaseAll(ctx context.Context, list []ciphertext) error {
	const perAnswer = 3
	for at := 0; at < len(list); at += perAnswer {
		some := list[at:min(at+perAnswer, len(list))]
		if err := n.offer(some); err != nil {
			return err
		}
		got, err := n.client.Lease(ctx, api.LeaseRequest{Session: id.Random128[id.Session](),
			Max: api.MaxLeases})
		if err != nil {
			return err
		}
		if len(got) != len(some) {
			return errors.New("the lease is not whole")
		}
	}
	return nil
}

// offer prepares the hub's next answer.
func (n *line) offer(list []ciphertext) error {
	var answer api.LeaseAnswer
	for _, c := range list {
		e := c.envelope()
		answer.Deliveries = append(answer.Deliveries,
			api.Delivery{DeliveryID: spool.DeliveryID{Envelope: e.ID}, Sender: e.Sender,
				Address: e.Address,
				Size:    e.Size, CRC32C: e.CRC32C, Messages: e.Messages, Inline: true})
	}
	head, err := api.Frame(answer)
	for _, c := range list {
		head = append(head, c.content...)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.answer = head
	return err
}
