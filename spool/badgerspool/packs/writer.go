package packs

import (
	"fmt"
	"os"
	"runtime"
)

// writer is the one goroutine that writes packs.
type writer[T any] struct {
	p      *Packs[T]
	number uint64
	file   *os.File // the pack under way; nil: none
	size   int64
	buffer []byte
	left   *Job[T] // did not fit into the last group
}

// run writes jobs until they end. It hands each group on as a whole, because callers that wake one
// by one would be committed in many small groups.
func (p *Packs[T]) run() {
	defer close(p.done)
	w := &writer[T]{p: p}
	defer w.seal()
	for {
		group, ok := w.gather()
		if !ok {
			return
		}
		err := p.room()
		if err == nil {
			if err = w.write(group); err != nil {
				w.seal() // a failed sync may have lost any of its data
			}
		}
		if err != nil {
			err = fmt.Errorf("store the content: %w", err)
		}
		p.next(group, err)
	}
}

// gather takes the waiting jobs, up to one group.
func (w *writer[T]) gather() (group []*Job[T], ok bool) {
	first := w.left
	if w.left = nil; first == nil {
		if first, ok = <-w.p.jobs; !ok {
			return nil, false
		}
	}
	runtime.Gosched() // callers that were answered together come back together
	group = append(group, first)
	for size := len(first.Content); ; {
		select {
		case job, ok := <-w.p.jobs:
			if !ok {
				return group, true
			}
			if size += len(job.Content); size > packGroup {
				w.left = job
				return group, true
			}
			group = append(group, job)
		default:
			return group, true
		}
	}
}

// write appends a group to the pack, with one sync.
func (w *writer[T]) write(group []*Job[T]) error {
	w.buffer = w.buffer[:0]
	for _, job := range group {
		w.buffer = append(w.buffer, job.Content...)
	}
	if w.file != nil && w.size+int64(len(w.buffer)) > packSize {
		w.seal()
	}
	if w.file == nil {
		if err := w.begin(); err != nil {
			return err
		}
	}
	err := w.p.disk.WriteAt(w.file, w.buffer, w.size)
	if err == nil {
		err = w.p.disk.Sync(w.file)
	}
	if err != nil {
		return err
	}
	w.p.mu.Lock()
	defer w.p.mu.Unlock()
	for _, job := range group {
		*job.At = Place{w.number, w.size}
		w.size += int64(len(job.Content))
	}
	w.p.all[w.number].pending += len(group)
	return nil
}

// begin creates a new pack, with its room and its name durable.
func (w *writer[T]) begin() (err error) {
	p := w.p
	p.mu.Lock()
	w.number = p.number
	p.number++
	p.mu.Unlock()
	if w.file, err = p.disk.Reserve(p.Path(w.number), packSize); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all[w.number] = &pack{}
	w.size = 0
	return nil
}

// seal ends a pack. The room behind its end is given back.
func (w *writer[T]) seal() {
	if w.file == nil {
		return
	}
	_ = w.file.Truncate(w.size) // saves room, promises nothing
	w.file.Close()              // every content in it has been synced
	w.file = nil
	w.p.mu.Lock()
	defer w.p.mu.Unlock()
	k := w.p.all[w.number]
	k.sealed = true
	w.p.bury(w.number, k)
}
