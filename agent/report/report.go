// Package report keeps STATUS.txt: how a site stands, in plain lines, where people look anyway.
//
// It promises that the file is replaced as a whole, soon after something has changed; that it is written at most once a
// second, for progress alone at most once a minute, and when nothing changes every ten minutes, so that its age tells
// whether the agent runs: after a kill it says of itself that it is old. Neither a large backlog nor a failing disk holds
// up what it reports on. It is not synced: after a crash the next start writes it anew. It reads the states that outbox
// and inbox offer, and must not know how they come about.
package report

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sealpost/internal/backoff"
	"sealpost/internal/durable"
	"sealpost/internal/words"
)

const (
	quick    = time.Second      // between two looks at what was written down
	slow     = 5 * time.Second  // between two looks at what nobody wrote down
	paced    = time.Minute      // between two writes for progress alone
	alive    = 10 * time.Minute // between two writes when there is nothing new
	lookCost = 100              // a look that takes long is followed by so many times as long without one
	patience = 4 * time.Minute  // but never by more than this

	// Old is the age from which on a file means that no agent keeps it: with all of the above it is never so old otherwise.
	Old      = 15 * time.Minute
	lastLook = 2 * time.Second // what the look at the end may take
)

// Options is what a reporter works with.
type Options struct {
	Files   []File
	Read    func(context.Context) (Snapshot, error)
	Changes func() uint64 // counts what is written down
	Log     *slog.Logger
}

// File is one STATUS.txt.
type File struct {
	Dir      string
	Tray     string // it tells of the tray of this name; empty: of none
	Receives bool   // it tells of the inbox
}

// Reporter keeps the files of one site.
type Reporter struct {
	o     Options
	files []*file
	last  Snapshot
}

// New makes a reporter. Run does the work.
func New(o Options) *Reporter {
	r := &Reporter{o: o}
	for _, f := range o.Files {
		r.files = append(r.files, &file{File: f, path: place(f.Dir)})
	}
	return r
}

// Run keeps the files until the context ends, and says at last that nobody is at work any more. Its only error is one of
// reading the state.
func (r *Reporter) Run(ctx context.Context) error {
	var seen uint64
	var looked time.Time
	wait := time.Duration(0)
	for backoff.Sleep(ctx, wait) == nil {
		wait = quick
		now, changes := time.Now(), r.o.Changes()
		if changes == seen && now.Sub(looked) < slow {
			continue
		}
		s, err := r.o.Read(ctx)
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("status file: %w", err)
		}
		if err != nil {
			break
		}
		r.write(s, now)
		seen, looked = changes, now
		wait = min(max(quick, lookCost*time.Since(now)), patience)
	}
	r.stop(ctx)
	return nil
}

// stop says how things stood at the end.
func (r *Reporter) stop(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastLook)
	defer cancel()
	s, err := r.o.Read(ctx)
	if err != nil {
		s = r.last
	}
	if s.Site != "" {
		s.Stopped = true
		r.write(s, time.Now())
	}
}

func (r *Reporter) write(s Snapshot, now time.Time) {
	r.last = s
	for _, f := range r.files {
		err := f.update(s, now)
		if text := fmt.Sprint(err); err != nil && text != f.trouble {
			f.trouble = text
			r.o.Log.Warn("the status file cannot be written", "error", err)
		}
	}
}

// file is one STATUS.txt and what it says now.
type file struct {
	File
	path    string
	lasting string // what it says, but for times and progress
	whole   string // what it says, but for the time
	written time.Time
	trouble string
}

// update writes the file if there is something new to say, and for progress alone, or to show that somebody is there, now
// and then.
func (f *file) update(s Snapshot, now time.Time) error {
	lasting, whole := s.text(f.File, false), s.text(f.File, true)
	age := now.Round(0).Sub(f.written.Round(0)) // as people reckon it, also when the computer has slept or its clock was set
	fresh := age >= 0 && age < alive
	if fresh && (f.whole == whole || (f.lasting == lasting && age < paced)) {
		return nil
	}
	if err := replace(f.path, heading(s, now)+whole); err != nil {
		return err
	}
	f.lasting, f.whole, f.written, f.trouble = lasting, whole, now, ""
	return nil
}

// replace writes a file beside the old one and takes its place. It is not synced: the content is of the moment.
func replace(path, text string) error {
	temp := filepath.Join(filepath.Dir(path), ".sealpost-status.tmp")
	if err := os.WriteFile(temp, []byte(text), 0o644); err != nil {
		return errors.Join(err, ignoreMissing(os.Remove(temp)))
	}
	if err := durable.Replace(temp, path); err != nil { // waits for somebody who is just reading it
		return errors.Join(err, ignoreMissing(os.Remove(temp)))
	}
	return nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// place is where the status of a folder is written: never over a file that is a person's own.
func place(dir string) string {
	path := filepath.Join(dir, "STATUS.txt")
	f, err := os.Open(path)
	if err != nil {
		return path
	}
	defer f.Close()
	first, err := bufio.NewReader(f).ReadString('\n')
	if err == nil && strings.HasPrefix(first, words.StatusTitle) {
		return path
	}
	return filepath.Join(dir, "STATUS (sealpost).txt")
}
