package packs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"sealpost/spool"
	"sealpost/spool/badgerspool/disk"
)

var errInjected = errors.New("injected")

// shelf is a folder of packs whose groups are answered at once.
type shelf struct {
	t    *testing.T
	dir  string
	full error

	mu     sync.Mutex
	fail   string // the operation that fails next
	groups int
	*Packs[chan error]
}

// open begins a process on a folder, with the stored counts.
func open(t *testing.T, dir string, live map[uint64]int64) *shelf {
	t.Helper()
	s := &shelf{t: t, dir: dir}
	room := func() error { return s.full }
	s.Packs = New(dir, s.do, room, func(group []*Job[chan error], err error) {
		s.mu.Lock()
		s.groups++
		s.mu.Unlock()
		for _, job := range group {
			job.Then <- err
		}
	})
	if err := s.Restore(live); err != nil {
		t.Fatal(err)
	}
	s.Start()
	return s
}

func (s *shelf) do(op, path string, f func() error) error {
	s.mu.Lock()
	fails := s.fail == op
	if fails {
		s.fail = ""
	}
	s.mu.Unlock()
	if fails {
		return errInjected
	}
	return disk.Real(op, path, f)
}

// put stores a content, without committing it.
func (s *shelf) put(content []byte) (Place, error) {
	var at Place
	done := make(chan error, 1)
	job := &Job[chan error]{Content: content, At: &at, Then: done}
	if err := s.Put(context.Background(), job); err != nil {
		return at, err
	}
	return at, <-done
}

// keep stores a content that is needed from now on.
func (s *shelf) keep(content []byte) Place {
	s.t.Helper()
	at, err := s.put(content)
	if err != nil {
		s.t.Fatal(err)
	}
	s.SetLive(at.Pack, s.Live(at.Pack)+1)
	s.Committed(at)
	return at
}

// drop gives a content up.
func (s *shelf) drop(at Place) bool { return s.SetLive(at.Pack, s.Live(at.Pack)-1) }

func (s *shelf) expect(at Place, want []byte) {
	s.t.Helper()
	r := s.Reader()
	defer r.Close()
	if got, err := r.Read(at, int64(len(want))); err != nil || !bytes.Equal(got, want) {
		s.t.Fatalf("%d bytes at %v differ, %v", len(want), at, err)
	}
}

// files lists the packs on the disk.
func (s *shelf) files() (names []string) {
	s.t.Helper()
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// removed removes the dead packs.
func (s *shelf) removed() []uint64 {
	s.t.Helper()
	dead, err := s.RemoveDead()
	if err != nil {
		s.t.Fatal(err)
	}
	return dead
}

func content(n, size int) []byte {
	return bytes.Repeat([]byte{byte(n), byte(n >> 8), 7}, size/3+1)[:size]
}

func TestContentsComeBack(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	places := map[int]Place{}
	for n, size := range []int{1, 4096, packGroup, packGroup - 1, packGroup + 1, 300} {
		places[size] = s.keep(content(n, size))
	}
	for n, size := range []int{1, 4096, packGroup, packGroup - 1, packGroup + 1, 300} {
		s.expect(places[size], content(n, size))
	}
	s.Close()
}

// Contents that come together share a write; each has a place of its own.
func TestGroups(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	const n = 300
	places := make([]Place, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { places[i] = s.keep(content(i, 1000)) })
	}
	wg.Wait()
	for i, at := range places {
		s.expect(at, content(i, 1000))
	}
	if s.groups > n {
		t.Errorf("%d contents in %d groups", n, s.groups)
	}
	if s.Pending() != 0 {
		t.Errorf("%d commits are under way", s.Pending())
	}
	s.Close()
}

// A pack is removed after its last content is needed no more. It must be full, or its process must
// have ended.
func TestRemoval(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	defer s.Close()
	var first []Place
	at := s.keep(content(0, packGroup))
	for n := 1; at.Pack == 1; n++ {
		first = append(first, at)
		at = s.keep(content(n, packGroup))
	}
	if len(first) != packSize/packGroup {
		t.Fatalf("a pack holds %d contents", len(first))
	}
	if s.drop(at) {
		t.Error("the pack under way may be removed")
	}
	r := s.Reader()
	defer r.Close()
	if _, err := r.Read(first[0], 1); err != nil {
		t.Fatal(err)
	}
	for i, p := range first {
		if dead := s.drop(p); dead != (i == len(first)-1) {
			t.Errorf("after %d of %d contents the pack may be removed: %t", i+1, len(first), dead)
		}
	}
	s.fail = "unlink"
	if dead, err := s.RemoveDead(); !errors.Is(err, errInjected) || len(dead) > 0 {
		t.Errorf("removed %v, %v", dead, err)
	}
	if dead := s.removed(); !slices.Equal(dead, []uint64{1}) {
		t.Errorf("removed %v", dead)
	}
	if _, err := r.Read(first[0], 1); err != nil {
		t.Errorf("a pack that is open is not readable to its end: %v", err)
	}
	other := s.Reader()
	defer other.Close()
	if _, err := other.Read(first[0], 1); !errors.Is(err, spool.ErrNotFound) {
		t.Errorf("a removed content: %v", err)
	}
}

// A content whose commit is under way keeps its pack.
func TestPendingKeepsItsPack(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	at, err := s.put(content(1, 100))
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	if dead := s.removed(); len(dead) > 0 {
		t.Fatalf("removed %v under a commit", dead)
	}
	s.Committed(at) // given up
	if dead := s.removed(); !slices.Equal(dead, []uint64{at.Pack}) {
		t.Errorf("removed %v", dead)
	}
}

// A new process reads the packs of the one before and adds to none of them. It removes those that
// it does not need.
func TestRestore(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, nil)
	at := s.keep(content(1, 500))
	s.Close()
	foreign := filepath.Join(dir, "README")
	orphan := s.Path(7)
	for _, path := range []string{foreign, orphan} {
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s = open(t, dir, map[uint64]int64{at.Pack: 1, 3: 0, 9: 2})
	defer s.Close()
	s.expect(at, content(1, 500))
	if dead := s.removed(); !slices.Equal(dead, []uint64{3, 7}) {
		t.Errorf("removed %v: one without a file and one without a count are to go", dead)
	}
	if next := s.keep(content(2, 500)); next.Pack != 10 {
		t.Errorf("the next pack is %d", next.Pack)
	}
	if s.SetLive(9, 1) || s.Live(9) != 0 {
		t.Error("a pack without its file is kept in memory")
	}
	if dead := s.drop(at); !dead {
		t.Error("the former process's pack is not removed")
	}
	s.removed()
	if names := s.files(); !slices.Equal(names, []string{fmt.Sprintf("%016x.pack", 10), "README"}) {
		t.Errorf("there are %v", names)
	}
}

// A group that fails is answered with the error, takes no place, and ends its pack.
func TestFailures(t *testing.T) {
	for _, op := range []string{"create", "allocate", "sync folder", "write", "sync"} {
		t.Run(op, func(t *testing.T) {
			s := open(t, t.TempDir(), nil)
			defer s.Close()
			later := op == "write" || op == "sync"
			var before Place
			if later {
				before = s.keep(content(1, 100))
			}
			s.fail = op
			at, err := s.put(content(2, 100))
			if !errors.Is(err, errInjected) || at != (Place{}) {
				t.Fatalf("placed at %v, %v", at, err)
			}
			after := s.keep(content(3, 100))
			s.expect(after, content(3, 100))
			if later {
				s.expect(before, content(1, 100))
			}
			if after.Pack == before.Pack {
				t.Errorf("pack %d goes on after a failure", after.Pack)
			}
		})
	}
	t.Run("no room", func(t *testing.T) {
		s := open(t, t.TempDir(), nil)
		defer s.Close()
		s.full = spool.ErrFull
		at, err := s.put(content(1, 100))
		if !errors.Is(err, spool.ErrFull) || at != (Place{}) || len(s.files()) > 0 {
			t.Errorf("placed at %v, %v, with %v", at, err, s.files())
		}
	})
}
