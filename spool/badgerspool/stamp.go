package badgerspool

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	badger "github.com/dgraph-io/badger/v4"

	"sealpost/internal/durable"
	"sealpost/internal/id"
	"sealpost/spool"
)

// format is the version of everything in the folder. This program does not touch a newer one.
//
// Format 2 counts the waiting envelopes of each sender, and the bytes and messages of each queue.
// It keeps no content of envelopes without a waiting delivery. Format 3 has dead letters; every
// store of format 2 is one of format 3 without any. Format 4 keeps the waiting deliveries of each
// sender apart. Format 5 forgets old envelopes, and each of them has the number of its newest
// event. upgrade makes it of the older ones.
const (
	format        = 5
	formatLanes   = 4
	formatCounted = 2
)

// stamp is the file that names the contents of the folder. It is written after the store is
// complete.
type stamp struct {
	Format      int            `json:"format"`
	Engine      string         `json:"engine"`
	Incarnation id.Incarnation `json:"incarnation"`
}

func (s *Spool) stampPath() string { return filepath.Join(s.dir, "stamp.json") }

// readStamp returns the zero stamp for a folder that holds no finished store.
func (s *Spool) readStamp() (st stamp, err error) {
	data, err := os.ReadFile(s.stampPath())
	if errors.Is(err, fs.ErrNotExist) {
		return st, nil
	}
	if err != nil {
		return st, err
	}
	if err := json.Unmarshal(data, &st); err != nil {
		return st, fmt.Errorf("%s is damaged: %w", s.stampPath(), err)
	}
	if st.Format > format || st.Engine != "badgerspool" {
		return st, fmt.Errorf("%s was written by a newer sealpost (%s, format %d; "+
			"this one knows %d): start that one, nothing was changed",
			s.dir, st.Engine, st.Format, format)
	}
	return st, nil
}

// restoreIncarnation keeps the stored incarnation, or draws a new one if the store is new or has
// lost commits. A copied or damaged store has lost commits. After a new incarnation every agent
// asks which of its envelopes the hub still knows.
func (s *Spool) restoreIncarnation(st stamp) error {
	var stored id.Incarnation
	err := s.view(func(txn *badger.Txn) error {
		v, err := get(txn, []byte{keyStamp})
		stored = id.Incarnation(v)
		return err
	})
	if err != nil {
		return err
	}
	mark, err := s.readMark()
	if err != nil {
		return err
	}
	lost := mark > s.commits.Load()
	if stored != "" && stored == st.Incarnation && !lost {
		s.incarnation = stored
		if st.Format < format {
			return s.writeStamp()
		}
		return nil
	}
	s.incarnation = id.Random128[id.Incarnation]()
	if st.Incarnation != "" {
		s.lose(max(mark, s.commits.Load()) - s.commits.Load())
		s.opts.Log.Error("spool replaced or commits lost; senders publish again",
			"commits", s.commits.Load(), "commits_before", mark, "incarnation", s.incarnation)
	}
	s.commits.Store(max(s.commits.Load(), mark))
	return s.saveIncarnation()
}

// lose adds lost commits to those that are not acknowledged yet.
func (s *Spool) lose(commits uint64) {
	l := spool.Loss{Found: s.hubTime()}
	if before := s.loss.Load(); before != nil {
		l = *before
	}
	l.Commits += commits
	s.loss.Store(&l)
}

func encodeLoss(l spool.Loss) []byte {
	var b encoder
	b.stamp(l.Found)
	b.uint(l.Commits)
	return b
}

// restoreLoss reads the lost commits that are not acknowledged yet.
func (s *Spool) restoreLoss(txn *badger.Txn) error {
	v, err := get(txn, []byte{keyLoss})
	if err != nil || v == nil {
		return err
	}
	d := decoder{data: v}
	s.loss.Store(&spool.Loss{Found: d.stamp(), Commits: d.uint()})
	return d.close("lost commits")
}

// AcknowledgeLoss implements spool.Admin.
func (s *Spool) AcknowledgeLoss(ctx context.Context) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	c := &change{ctx: ctx, need: needFloor, entries: 2, bytes: 4 * entryCost}
	c.apply = func(g *group) error {
		if s.loss.Load() != nil {
			g.next()
			g.del([]byte{keyLoss})
			g.after = append(g.after, func() { s.loss.Store(nil) })
		}
		return nil
	}
	if err := s.submit(c); err != nil {
		return fmt.Errorf("acknowledge lost commits: %w", err)
	}
	return nil
}

// saveIncarnation writes the store first, then the stamp. If the stamp is missing the two differ,
// and the next start draws a new incarnation.
func (s *Spool) saveIncarnation() error {
	g := s.newGroup()
	defer g.txn.Discard()
	g.set([]byte{keyStamp}, []byte(s.incarnation))
	if l := s.loss.Load(); l != nil {
		g.set([]byte{keyLoss}, encodeLoss(*l))
	}
	err := s.finish(g)
	if err != nil {
		return fmt.Errorf("store the incarnation: %w", err)
	}
	return s.writeStamp()
}

// writeStamp writes the stamp of this format.
func (s *Spool) writeStamp() error {
	data, err := json.Marshal(stamp{format, "badgerspool", s.incarnation})
	if err != nil {
		return err
	}
	return durable.WriteFile(s.stampPath(), append(data, '\n'), 0o600)
}

// The mark is the number of the newest commit, in a file beside Badger. It shows whether Badger's
// log has lost its end. It is not synced, because it only has to survive a kill.

func (s *Spool) markPath() string { return filepath.Join(s.dir, "commits") }

// readMark returns the number in the mark, 0 if there is none or it is torn.
func (s *Spool) readMark() (uint64, error) {
	data, err := os.ReadFile(s.markPath())
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(data) == 0 {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(data)), 10, 64)
	if err != nil {
		return 0, nil // torn by a power loss
	}
	return n, nil
}
