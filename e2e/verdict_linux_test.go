package e2e

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
)

// Watches remembers everything to which the group has no access, before an attack.
func (s *siege) Watches() {
	s.t.Helper()
	s.before, s.secrets = s.outside(), newCanary()
	for _, path := range s.files {
		s.secrets.add("the canary "+filepath.Base(path), []byte(canaryOf(path))[:40])
	}
	s.secrets.addForm("a ledger", []byte("SQLite format 3\x00"))
	for _, a := range s.sites {
		a.addKeys(s.secrets)
		if key, err := os.ReadFile(a.at("state", "claims.key")); err == nil {
			s.secrets.add("the claims key of "+a.name, key)
		}
	}
}

// mostProblems is the number of problems of a verdict that are printed.
const mostProblems = 20

// Judge fails the story for everything that the attack has brought about.
func (s *siege) Judge() {
	s.t.Helper()
	problems := s.verdict()
	for _, p := range problems[:min(mostProblems, len(problems))] {
		s.t.Errorf("siege: %s", p)
	}
	if len(problems) > mostProblems {
		s.t.Errorf("siege: and %d problems more", len(problems)-mostProblems)
	}
}

func (s *siege) verdict() []string {
	s.t.Helper()
	s.judged = true
	return slices.Concat(s.leaks(), s.changes(), s.arrivals())
}

// changes lists the changes outside of the shared folders.
func (s *siege) changes() (problems []string) {
	s.t.Helper()
	after := s.outside()
	for _, path := range slices.Sorted(maps.Keys(s.before)) {
		if now, ok := after[path]; !ok {
			problems = append(problems, fmt.Sprintf("%s is gone, which was %s", path,
				s.before[path]))
		} else if now != s.before[path] {
			problems = append(problems, fmt.Sprintf("%s is %s, and was %s", path, now,
				s.before[path]))
		}
	}
	for _, path := range slices.Sorted(maps.Keys(after)) {
		if _, ok := s.before[path]; !ok {
			problems = append(problems, fmt.Sprintf("%s was made: %s", path, after[path]))
		}
	}
	return problems
}

const ofSite = `^([A-Z-]+-(LAB|RC)|second)`

var (
	// loose matches files that the service changes itself: only name, owner and rights are
	// compared.
	loose = regexp.MustCompile(ofSite + `(/state(/(sealed|numbers\.json|trust\.json|lock|` +
		`control(\.sock)?|chain\.pem))?)?$`)
	// passing matches files of the service that come, go, and are made anew.
	passing = regexp.MustCompile(ofSite + `/(STATUS[^/]*|\.[^/]*tmp|state/(sealed/[0-9a-f]{32}|` +
		`ledger\.db(-wal|-shm)?|numbers\.json\.tmp|\.[^/]*tmp))$` +
		`|^[^/]*\.log$`)
)

// outside describes all files and folders of the world, except those of the hub, the users, and the
// group.
func (s *siege) outside() map[string]string {
	s.t.Helper()
	inside := append([]string{s.hub.dir, s.mallory.home, s.carol.home}, s.shared...)
	for _, a := range s.sites {
		inside = append(inside, a.inbox())
	}
	all := map[string]string{}
	must(s.t, filepath.WalkDir(s.dir, func(path string, e fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case e.IsDir() && slices.Contains(inside, path):
			return fs.SkipDir
		}
		rel, err := filepath.Rel(s.dir, path)
		if err != nil || rel == "." || passing.MatchString(rel) {
			return err
		}
		describe := describeAll
		if loose.MatchString(rel) {
			describe = describeOwner
		}
		text, err := describe(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		all[rel] = text
		return err
	}))
	return all
}

// describeOwner describes the mode and the owner of a file or folder.
func describeOwner(path string) (string, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return "", err
	}
	return ownerOf(info), nil
}

func ownerOf(info os.FileInfo) string {
	st := info.Sys().(*syscall.Stat_t)
	return fmt.Sprintf("%s of %d:%d", info.Mode(), st.Uid, st.Gid)
}

// describeAll describes the mode, owner, size, time and content of a file or folder.
func describeAll(path string) (string, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return "", err
	}
	text := fmt.Sprintf("%s with %d bytes of %s", ownerOf(info), info.Size(),
		info.ModTime().Format("15:04:05.000000000"))
	if !info.Mode().IsRegular() {
		return text, nil
	}
	sum, err := hashFile(path)
	return fmt.Sprintf("%s, SHA-256 %x", text, sum[:4]), err
}

// leaks looks for secrets of the service in all inboxes and trays, and in mallory's folder.
func (s *siege) leaks() (problems []string) {
	s.t.Helper()
	// inodes of the secrets: root has linked some of them to here, for mallory
	secretInodes := map[uint64]bool{}
	note := func(path string, info os.FileInfo) {
		secretInodes[info.Sys().(*syscall.Stat_t).Ino] = true
	}
	for _, path := range s.files {
		if info, err := os.Lstat(path); err == nil {
			note(path, info)
		}
	}
	places := append([]string{s.mallory.home}, s.shared...)
	for _, a := range s.sites {
		walk(s.t, a.at("state"), note)
		places = append(places, a.inbox(), a.at("STATUS.txt"))
	}
	found := map[string]bool{}
	for _, place := range places {
		s.each(place, func(path string, info os.FileInfo) {
			if secretInodes[info.Sys().(*syscall.Stat_t).Ino] {
				return
			}
			for _, secret := range findIn(s.secrets, path) {
				rel, _ := filepath.Rel(s.dir, path)
				found[fmt.Sprintf("%s lies in %s", secret, rel)] = true
			}
		})
	}
	return slices.Sorted(maps.Keys(found))
}

// each visits the files below a place that may change meanwhile.
func (s *siege) each(place string, visit func(path string, info os.FileInfo)) {
	s.t.Helper()
	//nolint:errcheck // it returns none
	filepath.WalkDir(place, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return nil
		}
		if info, err := e.Info(); err == nil {
			visit(path, info)
		}
		return nil
	})
}

// findIn looks for secrets in a file of any size.
func findIn(c *canary, path string) (list []string) {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	// a secret that is cut here lies whole in the next piece
	const most, overlap = 4 * mib, 64 * kib
	piece := make([]byte, most)
	for at := int64(0); ; at += most - overlap {
		n, err := f.ReadAt(piece, at)
		list = append(list, c.find(piece[:n])...)
		if err != nil {
			return list
		}
	}
}

// arrivals wants every file of carol's once at each of its centres, and nothing else but files of
// mallory's.
func (s *siege) arrivals() (problems []string) {
	s.t.Helper()
	for _, c := range s.sites {
		if c.role == "send" {
			continue
		}
		have := s.have(c)
		for sum, d := range s.dropped {
			switch list := have[sum]; {
			case !slices.Contains(d.to, c) && len(list) > 0:
				problems = append(problems, fmt.Sprintf("%s has %q, which was not for it", c.name,
					d.path))
			case slices.Contains(d.to, c) && len(list) != 1:
				problems = append(problems, fmt.Sprintf("%s has %q %d times: %q", c.name, d.path,
					len(list), list))
			}
			delete(have, sum)
		}
		for _, list := range have {
			for _, path := range list {
				if head := headOf(path); !bytes.HasPrefix(head, []byte(ownBegins)) &&
					len(bytes.Trim(head, "\x00")) > 0 {
					problems = append(problems,
						fmt.Sprintf("%s has %q, which no user has dropped: %q", c.name, path, head))
				}
			}
		}
	}
	slices.Sort(problems)
	return problems
}

// have lists the files that have arrived at a centre, by digest. Those of carol's count too that
// are in a folder which mallory has swapped out of the inbox.
func (s *siege) have(centre *site) map[[sha256.Size]byte][]string {
	s.t.Helper()
	have := map[[sha256.Size]byte][]string{}
	look := func(dir string, carols bool) {
		s.each(dir, func(path string, _ os.FileInfo) {
			if strings.Contains(path, "/.sealpost/") || recordsAside.MatchString(path) || carols &&
				(strings.HasPrefix(path, centre.inbox()+"/") || s.isShared(path)) {
				return
			}
			sum, err := hashFile(path)
			if _, known := s.dropped[sum]; err == nil && (known || !carols) {
				have[sum] = append(have[sum], path)
			}
		})
	}
	look(centre.inbox(), false)
	if slices.Contains(s.shared, centre.inbox()) {
		look(s.mallory.home, true)
	}
	return have
}

// recordsAside matches the files of a folder of records that the attacker has moved. The attacker
// cannot put it back: the agent has made another one meanwhile.
var recordsAside = regexp.MustCompile(regexp.QuoteMeta("/"+ownMark) +
	`\d+/(inbox\.id|[A-Z0-9-]+/[^/]+\.json|tmp/.*)$`)

// isShared reports whether a path lies in a shared folder.
func (s *siege) isShared(path string) bool {
	return slices.ContainsFunc(s.shared, func(dir string) bool {
		return strings.HasPrefix(path, dir+"/")
	})
}

// missing lists the files of carol's that have not arrived everywhere.
func (s *siege) missing() (list []string) {
	s.t.Helper()
	for _, c := range s.sites {
		if c.role == "send" {
			continue
		}
		have := s.have(c)
		for sum, d := range s.dropped {
			if slices.Contains(d.to, c) && len(have[sum]) == 0 {
				list = append(list, fmt.Sprintf("%s at %s", d.path, c.name))
			}
		}
	}
	slices.Sort(list)
	return list
}

func headOf(path string) []byte {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	head, err := io.ReadAll(io.LimitReader(f, 60))
	if err != nil {
		return nil
	}
	return head
}
