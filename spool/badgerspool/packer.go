package badgerspool

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"sealpost/internal/durable"
)

// packer is the one goroutine that writes packs.
type packer struct {
	p      *packs
	number uint64
	file   *os.File // the pack under way; nil: none
	size   int64
	buffer []byte
	left   *packJob // did not fit into the last group
}

// run writes what comes until the jobs end.
func (p *packs) run() {
	defer close(p.done)
	w := &packer{p: p}
	defer w.seal()
	for {
		group, ok := w.gather()
		if !ok {
			return
		}
		err := w.p.room()
		if err == nil {
			if err = w.write(group); err != nil {
				w.seal() // nobody knows what a failed sync left behind it
			}
		}
		w.p.handOn(group, err)
	}
}

// handOn gives a durable group to the writer as a whole: callers that were woken for it one by one would be committed in
// many small groups.
func (p *packs) handOn(group []*packJob, err error) {
	changes := make([]*change, len(group))
	for i, job := range group {
		changes[i] = job.change
	}
	if err != nil {
		answer(changes, fmt.Errorf("store the content: %w", err))
		return
	}
	p.next <- changes
}

// gather takes what is waiting, as much as is written at once.
func (w *packer) gather() (group []*packJob, ok bool) {
	first := w.left
	if w.left = nil; first == nil {
		if first, ok = <-w.p.jobs; !ok {
			return nil, false
		}
	}
	runtime.Gosched() // those who were answered together come back together
	group = append(group, first)
	for size := len(first.content); ; {
		select {
		case job, ok := <-w.p.jobs:
			if !ok {
				return group, true
			}
			if size += len(job.content); size > packGroup {
				w.left = job
				return group, true
			}
			group = append(group, job)
		default:
			return group, true
		}
	}
}

// write puts a group behind what the pack holds, with one sync.
func (w *packer) write(group []*packJob) error {
	w.buffer = w.buffer[:0]
	for _, job := range group {
		w.buffer = append(w.buffer, job.content...)
	}
	if w.file != nil && w.size+int64(len(w.buffer)) > packSize {
		w.seal()
	}
	if w.file == nil {
		if err := w.begin(); err != nil {
			return err
		}
	}
	path := w.p.path(w.number)
	err := w.p.disk.do("write", path, func() error { _, err := w.file.WriteAt(w.buffer, w.size); return err })
	if err == nil {
		err = w.p.disk.do("sync", path, func() error { return datasync(w.file) })
	}
	if err != nil {
		return err
	}
	w.p.mu.Lock()
	defer w.p.mu.Unlock()
	for _, job := range group {
		*job.at = packPlace{w.number, w.size}
		w.size += int64(len(job.content))
	}
	w.p.all[w.number].pending += len(group)
	return nil
}

// begin makes a new pack, with its room and its name durable.
func (w *packer) begin() error {
	p := w.p
	p.mu.Lock()
	n := p.number
	p.number++
	p.mu.Unlock()
	path := p.path(n)
	var f *os.File
	err := p.disk.do("create", path, func() (err error) {
		f, err = os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
		return err
	})
	if err == nil {
		err = p.disk.do("allocate", path, func() error { return preallocate(f, packSize) })
	}
	if err == nil {
		err = p.disk.do("sync", path, f.Sync)
	}
	if err == nil {
		err = p.disk.do("sync folder", p.dir, func() error { return durable.SyncDir(p.dir) })
	}
	if err != nil {
		if f != nil {
			err = errors.Join(err, f.Close())
		}
		os.Remove(path) // else the next start removes it
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all[n] = &pack{}
	w.file, w.number, w.size = f, n, 0
	return nil
}

// seal ends a pack. The room behind its end is given back.
func (w *packer) seal() {
	if w.file == nil {
		return
	}
	_ = w.file.Truncate(w.size) // saves room, promises nothing
	w.file.Close()              // what counts has been synced
	w.file = nil
	w.p.mu.Lock()
	defer w.p.mu.Unlock()
	k := w.p.all[w.number]
	k.sealed = true
	w.p.bury(w.number, k)
}
