package e2e

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// storm is an attack that goes on and on: things are swapped for links and back. Patterns are those
// of filepath.Glob.
type storm struct {
	Seed  uint64
	Home  string   // the attacker's folder, on the same volume
	Swap  []string // patterns of the paths that are swapped for a link and back
	For   []string // targets of the links
	Plant []string // patterns of a folder, and behind it a name at which a link is made and removed
	Own   []string // patterns of the attacker's own files, which become anything and come back
	// files of the attacker's own that are dropped again whenever the agent has taken them
	Drop  []string
	Hands int // how many of these acts run at a time
}

// raging is a storm in progress.
type raging struct {
	storm
	stop chan struct{}
	all  sync.WaitGroup
	made atomic.Int64 // numbers names

	mu   sync.Mutex // guards the maps
	busy map[string]bool
	done map[string]int
	lost map[string]string // by its place: where a thing is kept that could not be put back
}

// ownMark is in the names of all files and folders that the attacker makes in shared folders.
const ownMark = ".mallory "

func (s storm) start() *raging {
	r := &raging{storm: s, stop: make(chan struct{}), busy: map[string]bool{},
		done: map[string]int{}, lost: map[string]string{}}
	for hand := range s.Hands {
		random := rand.New(rand.NewPCG(s.Seed, uint64(hand)))
		r.all.Go(func() {
			for {
				select {
				case <-r.stop:
					return
				default:
					r.act(random)
					dwell(random)
				}
			}
		})
	}
	return r
}

func (r *raging) calm() map[string]int {
	close(r.stop)
	r.all.Wait()
	for path, kept := range r.lost {
		how := uint(unix.RENAME_NOREPLACE)
		if info, err := os.Lstat(path); err == nil && isLink(info) {
			// the folder above was moved before this link could be taken back
			how = unix.RENAME_EXCHANGE
		}
		if unix.Renameat2(unix.AT_FDCWD, kept, unix.AT_FDCWD, path, how) == nil {
			delete(r.lost, path)
		}
	}
	r.done["not put back"] = len(r.lost)
	return r.done
}

func (r *raging) count(action string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done[action]++
}

// act does one thing, most often a swap.
func (r *raging) act(random *rand.Rand) {
	switch random.IntN(5) {
	case 0, 1:
		r.at(r.Swap, random, r.swap)
	case 2:
		r.at(r.Own, random, r.replace)
	case 3:
		r.atName(r.Plant, random, r.plant)
	case 4:
		r.atName(r.Drop, random, r.drop)
	}
}

// dwell waits for as long as steps of a program take, or not at all.
func dwell(random *rand.Rand) {
	switch random.IntN(4) {
	case 0:
		time.Sleep(time.Duration(random.Int64N(int64(100 * time.Microsecond))))
	case 1:
		time.Sleep(time.Duration(random.Int64N(int64(5 * time.Millisecond))))
	}
}

// at does something to one of the things of a pattern, which no other hand has.
func (r *raging) at(patterns []string, random *rand.Rand, do func(path string, random *rand.Rand)) {
	path := pick(patterns, random, func(pattern string) string { return pattern })
	if path == "" || strings.Contains(path, ownMark) {
		return
	}
	r.mu.Lock()
	free := !r.busy[path]
	r.busy[path] = true
	r.mu.Unlock()
	if !free {
		return
	}
	do(path, random)
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.busy, path)
}

// atName does something at a name in one of the folders of a pattern.
func (r *raging) atName(patterns []string, random *rand.Rand,
	do func(path string, random *rand.Rand)) {
	name := ""
	dir := pick(patterns, random, func(pattern string) string {
		name = filepath.Base(pattern)
		return filepath.Dir(pattern)
	})
	if dir != "" {
		do(filepath.Join(dir, name), random)
	}
}

// pick returns one of the paths of one of the patterns.
func pick(patterns []string, random *rand.Rand, part func(string) string) string {
	if len(patterns) == 0 {
		return ""
	}
	found, err := filepath.Glob(part(patterns[random.IntN(len(patterns))]))
	if err != nil || len(found) == 0 {
		return ""
	}
	return found[random.IntN(len(found))]
}

func (r *raging) bait(random *rand.Rand) string { return r.For[random.IntN(len(r.For))] }

// swap has a link in the place of something for a moment. It swaps none of carol's own things, only
// those around them.
func (r *raging) swap(path string, random *rand.Rand) {
	if info, err := os.Lstat(path); err != nil || isLink(info) ||
		strings.HasPrefix(filepath.Base(path), "carol") {
		return
	}
	bait := r.bait(random)
	kept := r.exchange(path, random, func(place string) error { return os.Symlink(bait, place) })
	info, err := os.Lstat(kept)
	switch {
	case err != nil:
	case isLink(info):
		os.Remove(kept) //nolint:errcheck // a link stays in the attacker's folder
	default:
		// the agent has made something in the place of the link: it is kept for the verdict
		r.count("found")
	}
}

func isLink(info fs.FileInfo) bool { return info.Mode()&fs.ModeSymlink != 0 }

// replace has anything in the place of a file of the attacker's own for a moment.
func (r *raging) replace(path string, random *rand.Rand) {
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() ||
		int(info.Sys().(*syscall.Stat_t).Uid) != os.Getuid() {
		return
	}
	bait := r.bait(random)
	makers := []func(place string) error{
		func(place string) error { return os.Symlink(bait, place) },
		func(place string) error { return os.Link(bait, place) },
		func(place string) error { return os.WriteFile(place, ownContent(place), 0o644) },
		func(place string) error { return os.Mkdir(place, 0o777) },
		func(place string) error { return unix.Mkfifo(place, 0o666) },
		bindSocket,
	}
	if kept := r.exchange(path, random, makers[random.IntN(len(makers))]); kept != "" {
		os.RemoveAll(kept) //nolint:errcheck // a leftover stays in the attacker's folder
	}
}

// exchange has something else at a path for a moment, and returns the path of that afterwards. It
// returns an empty one if the agent has moved it. It holds the parent folder open, which may be
// moved meanwhile.
func (r *raging) exchange(path string, random *rand.Rand,
	create func(place string) error) (instead string) {
	dir, err := unix.Open(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	defer unix.Close(dir)
	name := filepath.Base(path)
	kept := ""
	// a thing that may not leave its folder is swapped within it
	for _, place := range []string{r.Home, filepath.Dir(path)} {
		if kept = r.swapOut(path, filepath.Join(place, fmt.Sprint(ownMark, r.made.Add(1))),
			create); kept != "" {
			break
		}
	}
	if kept == "" {
		r.count("refused")
		return ""
	}
	r.count("swapped")
	dwell(random)
	err = unix.Renameat2(unix.AT_FDCWD, kept, dir, name, unix.RENAME_EXCHANGE)
	if err == nil {
		return kept
	}
	if errors.Is(err, fs.ErrNotExist) {
		r.count("moved on")
		err = unix.Renameat2(unix.AT_FDCWD, kept, dir, name, unix.RENAME_NOREPLACE)
	}
	if err != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.lost[path] = kept
	}
	return ""
}

// swapOut makes something elsewhere and exchanges it for the thing at a path; it returns where that
// is kept.
func (r *raging) swapOut(path, kept string, create func(place string) error) string {
	if create(kept) != nil {
		return ""
	}
	if unix.Renameat2(unix.AT_FDCWD, kept, unix.AT_FDCWD, path, unix.RENAME_EXCHANGE) != nil {
		os.RemoveAll(kept) //nolint:errcheck // a leftover stays in the attacker's folder
		return ""
	}
	return kept
}

// plant has a link for a moment where nothing is.
func (r *raging) plant(path string, random *rand.Rand) {
	if os.Symlink(r.bait(random), path) != nil {
		return
	}
	r.count("planted")
	dwell(random)
	if info, err := os.Lstat(path); err == nil && isLink(info) {
		os.Remove(path) //nolint:errcheck // then it stays
	}
}

// drop drops a file again: a small one, or a large one, which has a message folder to itself.
func (r *raging) drop(path string, random *rand.Rand) {
	temp := filepath.Join(r.Home, fmt.Sprint(ownMark, r.made.Add(1)))
	err := os.WriteFile(temp, ownContent(path), 0o644)
	if random.IntN(2) == 0 {
		err = errors.Join(err, os.Truncate(temp, 2*mib))
	}
	if err == nil && unix.Renameat2(unix.AT_FDCWD, temp, unix.AT_FDCWD, path,
		unix.RENAME_NOREPLACE) == nil {
		r.count("dropped")
	}
	os.Remove(temp) //nolint:errcheck // it is moved, or stays in the attacker's folder
}
