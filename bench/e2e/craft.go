//go:build linux

package main

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"sealpost/certs"
	"sealpost/envelope"
	"sealpost/hub/api"
	"sealpost/internal/durable"
	"sealpost/internal/id"
	"sealpost/spool"
	"sealpost/spool/badgerspool"
)

// ciphertext is a sealed envelope: a small one in memory, a large one in a file.
type ciphertext struct {
	envelope.Sealed
	req     envelope.SealRequest
	content []byte
	path    string
}

func (w *workshop) message(i int, path string, size int64) envelope.Message {
	name := filepath.Base(path)
	e := envelope.Entry{Path: name, Size: size, ModTime: time.Unix(1e9, 0),
		Open: func() (io.ReadCloser, error) {
			return os.Open(path)
		}}
	m := envelope.Message{ID: id.FormatMessage(w.sender.Site(), "DAT", time.Now(), int64(i+1)),
		UID: id.Random128[id.UID](), Sent: time.Now().UTC(),
		Name: name, Type: envelope.TypeFile, Entries: one(e)}
	rand.Read(m.FingerprintKey[:])
	return m
}

func one(e envelope.Entry) iter.Seq2[envelope.Entry, error] {
	return func(yield func(envelope.Entry, error) bool) { yield(e, nil) }
}

func (w *workshop) sealSmall(recipients int, files []string) (c ciphertext, err error) {
	if c.req, err = w.request(recipients, files); err != nil {
		return c, err
	}
	var out bytes.Buffer
	c.Sealed, err = envelope.Seal(&out, c.req, w.sender)
	c.content = out.Bytes()
	return c, err
}

func (w *workshop) sealLarge(file string) (c ciphertext, err error) {
	if c.req, err = w.request(3, []string{file}); err != nil {
		return c, err
	}
	c.path = filepath.Join(w.dir, "sealed")
	f, err := os.Create(c.path)
	if err != nil {
		return c, err
	}
	c.Sealed, err = envelope.Seal(f, c.req, w.sender)
	return c, errors.Join(err, f.Sync(), f.Close())
}

// envelope returns the hub's record of a ciphertext.
func (c ciphertext) envelope() spool.Envelope {
	e := spool.Envelope{ID: c.req.Envelope, Sender: c.req.Sender, Address: c.req.Address,
		Size: c.Size, CRC32C: c.CRC32C, Content: c.content}
	for _, m := range c.req.Messages {
		e.Messages = append(e.Messages, spool.Message{ID: m.ID, UID: m.UID, Sent: m.Sent})
	}
	for _, r := range c.req.Recipients {
		e.Deliveries = append(e.Deliveries, spool.Target{Site: r.Site, Queue: r.Site.Queue()})
	}
	return e
}

// withSpool calls do with a spool of its own.
func (w *workshop) withSpool(do func(*badgerspool.Spool) error) error {
	dir := filepath.Join(w.dir, "spool")
	s, err := badgerspool.Open(dir, badgerspool.Options{})
	if err != nil {
		return err
	}
	return errors.Join(do(s), s.Close(), os.RemoveAll(dir))
}

func (w *workshop) spoolSmall(list []ciphertext) error {
	return w.withSpool(func(s *badgerspool.Spool) error {
		return several(list, func(c ciphertext) error {
			_, err := s.Publish(w.ctx, c.envelope())
			return err
		})
	})
}

func (w *workshop) spoolLarge(c ciphertext) error {
	return w.withSpool(func(s *badgerspool.Spool) error {
		f, err := os.Open(c.path)
		if err != nil {
			return err
		}
		defer f.Close()
		staging, err := s.Stage(w.ctx, spool.Upload{Sender: c.req.Sender, Envelope: c.req.Envelope,
			Size: c.Size})
		if err != nil {
			return err
		}
		err = several(staging.Missing(), func(part int) error {
			return staging.Put(w.ctx, part, c.CRC32C[part],
				io.NewSectionReader(f, int64(part)*spool.PartSize, spool.PartSize))
		})
		if err == nil {
			_, err = s.Publish(w.ctx, c.envelope())
		}
		return err
	})
}

// several calls do for each of a list, as many at once as an agent does.
func several[T any](list []T, do func(T) error) error {
	var g errgroup.Group
	g.SetLimit(4)
	for _, e := range list {
		g.Go(func() error { return do(e) })
	}
	return g.Wait()
}

func (w *workshop) openAll(list []ciphertext) error {
	for _, c := range list {
		if err := w.open(c, bytes.NewReader(c.content)); err != nil {
			return err
		}
	}
	return nil
}

func (w *workshop) openLarge(c ciphertext) error {
	f, err := os.Open(c.path)
	if err != nil {
		return err
	}
	defer f.Close()
	return w.open(c, f)
}

// open verifies an envelope as its first recipient, writes its content to files, and syncs them.
func (w *workshop) open(c ciphertext, from io.Reader) error {
	dir := filepath.Join(w.dir, "opened")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	chain := w.sender.Chain()
	o := envelope.Opener{Network: w.network, Site: w.to[0].Site, Keys: w.keys,
		Verifier: certs.NewVerifier(chain[len(chain)-1]), MaxSize: spool.MaxSize,
		Pin: func(id.Site, id.Hash) error { return nil }}
	want := envelope.Expect{Envelope: c.req.Envelope, Sender: c.req.Sender, Address: c.req.Address,
		Size: c.Size, CRC32C: c.CRC32C, At: time.Now()}
	for _, m := range c.req.Messages {
		want.Messages = append(want.Messages, envelope.ExpectMessage{ID: m.ID, UID: m.UID})
	}
	if _, err := o.Open(from, want, drawer{root}); err != nil {
		return err
	}
	return errors.Join(durable.SyncFS(dir), os.RemoveAll(dir))
}

// drawer stores the content of an envelope as an inbox does.
type drawer struct{ root *os.Root }

func (drawer) Signed([]byte) error { return nil }

func (d drawer) Dir(int, string, time.Time) error { return errors.ErrUnsupported }

func (d drawer) File(n int, _ string, _ bool, _ time.Time, _ int64) (io.WriteCloser, error) {
	return d.root.OpenFile(strconv.Itoa(n), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
}

// client returns the lab's client for a hub at an address.
func (w *workshop) client(addr string) *api.Client {
	return api.NewClient(api.ClientOptions{Hubs: []string{addr},
		TLS: certs.ClientTLS(w.sender, w.network, "127.0.0.1"), UserAgent: "sealpost/bench"})
}
