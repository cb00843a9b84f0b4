//go:build linux

package e2e

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// The names of folders in sending and delivered: of one message, or of several with numbers in a
// row.
var (
	messageID  = regexp.MustCompile(`^[A-Z0-9-]+_[A-Z0-9]{1,8}_\d{8}_\d{3,}$`)
	messageIDs = regexp.MustCompile(`^([A-Z0-9-]+_[A-Z0-9]{1,8}_\d{8}_)(\d{3,})-(\d{3,})$`)
)

// checkTrays wants every drop in exactly one place of its lab's tray, under its own name and
// unchanged.
func (a *audit) checkTrays() {
	for _, s := range a.w.sites {
		if s.role == "receive" {
			continue
		}
		a.checkDelivered(s)
		a.checkWaiting(s)
		a.checkFailed(s)
		if left := s.files("sending"); len(left) > 0 {
			a.problem("%s: in sending: %s", s.name, few(sortedKeys(left)))
		}
		if left, err := os.ReadDir(s.at("sending")); err != nil || len(left) > 0 {
			a.problem("%s: %d folders are left in sending (%v)", s.name, len(left), err)
		}
		if noted, err := os.ReadDir(s.at("state", "sealed")); err != nil || len(noted) > 0 {
			a.problem("%s: %d uploads are noted (%v)", s.name, len(noted), err)
		}
		if n := s.sum("SELECT count(*) FROM segment"); n > 0 {
			a.problem("%s: the progress of %d segments is left", s.name, n)
		}
	}
}

func (a *audit) checkDelivered(s *site) {
	found := map[string][]string{} // folders, by drop
	names := map[string]string{}
	holds := map[string]int{} // files, by their folder
	places, _ := filepath.Glob(s.at("delivered", "*", "*"))
	slices.Sort(places)
	for _, place := range places {
		folder, name := filepath.Base(filepath.Dir(place)), filepath.Base(place)
		if s.forgot && name == ".sealpost-group" {
			// killed behind the folder's move, and the ledger is lost that would have it removed
			continue
		}
		d, err := look(place, name)
		if holds[folder]++; err != nil || holds[folder] > sizeOf(folder) {
			a.problem("%s: delivered/%s/%q is no place for a file (%v)", s.name, folder, name, err)
			continue
		}
		key := string(d.digest())
		found[key], names[key] = append(found[key], folder), name
	}
	for _, d := range a.dropsOf(s, delivered) {
		key := string(d.digest())
		list := found[key]
		if len(list) == 0 {
			a.problem("%s: %q does not lie unchanged in delivered", s.name, d.name)
			continue
		}
		a.ids[d], found[key] = a.idIn(list[0], d), list[1:]
	}
	for key, folders := range found {
		for _, folder := range folders {
			a.problem("%s: delivered/%s/%q was never dropped with that content", s.name, folder,
				names[key])
		}
	}
}

// sizeOf returns the number of files that a folder of this name may hold.
func sizeOf(folder string) int {
	if messageID.MatchString(folder) {
		return 1
	}
	return len(idsOf(folder))
}

// idsOf lists the message ids for which the folder of several stands.
func idsOf(folder string) (ids []string) {
	parts := messageIDs.FindStringSubmatch(folder)
	if parts == nil {
		return nil
	}
	first, _ := strconv.Atoi(parts[2])
	last, _ := strconv.Atoi(parts[3])
	for n := first; n <= last; n++ {
		ids = append(ids, fmt.Sprintf("%s%03d", parts[1], n))
	}
	return ids
}

// idIn returns the message id of a drop in a folder. If the folder has several ids, the records of
// the recipients decide: they do not depend on folders.
func (a *audit) idIn(folder string, d *drop) string {
	if messageID.MatchString(folder) {
		return folder
	}
	if a.shared[folder] == nil { // all that share it were sent to the same sites
		a.shared[folder] = map[string]string{}
		for _, id := range idsOf(folder) {
			for _, c := range d.recipients() {
				if r, _, err := readRecord(c, d.lab, id); err == nil {
					a.shared[folder][r.Content.Digest+" "+r.Content.Name] = id
				}
			}
		}
	}
	if id, known := a.shared[folder][hex.EncodeToString(d.digest())+" "+d.name]; known {
		return id
	}
	a.problem("%s: none of its recipients knows %q by one of the numbers of %s", d.lab.name, d.name,
		folder)
	return ""
}

// checkFailed wants in failed/ the recalled drops, each beside its explanation, and nothing else.
func (a *audit) checkFailed(s *site) {
	have := s.files("failed")
	for _, d := range a.dropsOf(s, recalled) {
		place, _ := filepath.Glob(s.at("failed", "*", d.name))
		if len(place) != 1 {
			a.problem("%s: %q was recalled, and lies %d times in failed", s.name, d.name,
				len(place))
			continue
		}
		id := filepath.Base(filepath.Dir(place[0]))
		delete(have, filepath.Join(id, d.name))
		if _, isThere := have[filepath.Join(id, "WHY.txt")]; !isThere {
			a.problem("%s: nobody explains why %q lies in failed", s.name, d.name)
		}
		delete(have, filepath.Join(id, "WHY.txt"))
	}
	if len(have) > 0 {
		a.problem("%s: in failed: %s", s.name, few(sortedKeys(have)))
	}
}

func (a *audit) checkWaiting(s *site) {
	have := s.files("outbox")
	for _, d := range a.dropsOf(s, waiting) {
		if _, isThere := have[d.name]; !isThere {
			a.problem("%s: %q must wait in outbox and is not there", s.name, d.name)
		}
		delete(have, d.name)
	}
	if len(have) > 0 {
		a.problem("%s: in outbox: %s", s.name, few(sortedKeys(have)))
	}
}

// checkInboxes wants every delivered drop exactly once in the inbox of each of its recipients,
// and nothing else.
func (a *audit) checkInboxes() {
	for _, s := range a.w.sites {
		if s.role == "send" {
			continue
		}
		have := s.files("inbox")
		for _, d := range a.w.drops {
			if d.fate == delivered && d.isFor(s) {
				a.checkArrived(s, d, have)
			}
		}
		if len(have) > 0 {
			a.problem("%s: nobody sent what lies in inbox: %s", s.name, few(sortedKeys(have)))
		}
		if temp, err := os.ReadDir(s.at("inbox", ".sealpost", "tmp")); err != nil || len(temp) > 0 {
			a.problem("%s: %d temporary files are left (%v)", s.name, len(temp), err)
		}
		if n, err := filepath.Glob(s.at("inbox", ".sealpost", "*-*", "*")); err != nil ||
			len(n) != a.meantFor(s) {
			a.problem("%s: %d records lie beside %d messages (%v)", s.name, len(n), a.meantFor(s),
				err)
		}
	}
}

// checkArrived checks one drop's files, and deletes them from the inbox's list.
func (a *audit) checkArrived(s *site, d *drop, have map[string]os.FileInfo) {
	path := filepath.Join(d.lab.name, alternative(d.name, a.ids[d]))
	if _, err := os.Lstat(s.at("inbox", path)); err != nil {
		path = filepath.Join(d.lab.name, portable(d.name))
	}
	_, isThere := have[path]
	if !isThere && !d.folder {
		a.problem("%s: %s of %s, %q, is not in the inbox, or is the place of another", s.name,
			a.ids[d], d.lab.name, d.name)
		return
	}
	maps.DeleteFunc(have, func(have string, _ os.FileInfo) bool {
		return have == path || (d.folder && strings.HasPrefix(have, path+"/"))
	})
	want := d.placed(s)
	got, err := look(s.at("inbox", path), want.name)
	if err != nil || !bytes.Equal(got.digest(), want.digest()) {
		a.problem("%s: inbox/%s has %#v, that are not those of %#v (%v)", s.name, path, got, want,
			err)
	}
	a.checkRecord(s, d, path)
}

// record is the record of a message that programs at a centre read.
type record struct {
	Message string `json:"message_id"`
	Sender  string `json:"sender_id"`
	Path    string
	Signer  string `json:"verified_signer"`
	Content struct {
		Name, Type, SHA256, Digest string
		Size                       int64
	}
}

func readRecord(centre, lab *site, id string) (r record, text []byte, err error) {
	text, err = os.ReadFile(centre.at("inbox", ".sealpost", lab.name, id+".json"))
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	return r, text, err
}

// checkRecord checks the record of a message at the centre.
func (a *audit) checkRecord(s *site, d *drop, path string) {
	r, text, err := readRecord(s, d.lab, a.ids[d])
	kind, sum := "file", hex.EncodeToString(d.sum[:])
	if d.folder {
		kind, sum = "folder", ""
	}
	right := r.Message == a.ids[d] && r.Sender == d.lab.name && r.Path == filepath.ToSlash(path) &&
		(r.Signer == d.lab.fingerprint || d.lab.fingerprint == "") &&
		r.Content.Name == d.name && r.Content.Type == kind && r.Content.Size == d.size &&
		r.Content.SHA256 == sum && r.Content.Digest == hex.EncodeToString(d.digest())
	if err != nil || !right {
		a.problem("%s: the record of %s, %s at %s, says %s (%v)", s.name, a.ids[d], d, path, text,
			err)
	}
}

// meantFor returns the number of delivered drops for a centre.
func (a *audit) meantFor(s *site) (n int) {
	for _, d := range a.w.drops {
		if d.fate == delivered && d.isFor(s) {
			n++
		}
	}
	return n
}

func (d *drop) isFor(s *site) bool {
	for _, c := range d.recipients() {
		if c.name == s.name {
			return true
		}
	}
	return false
}

func (d *drop) String() string { return fmt.Sprintf("%q of %s", d.name, d.lab.name) }
