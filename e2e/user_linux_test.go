package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// userEnv makes this program act as a user instead of running tests.
const userEnv = "SEALPOST_E2E_USER"

// user is another account of this machine, with a process that carries out the story's acts.
type user struct {
	t    testing.TB
	name string
	home string // a folder of the user's own, on the volume of the world

	mu   sync.Mutex // guards acts and done
	acts *json.Encoder
	done *json.Decoder
}

// act is one thing that a user does.
type act struct {
	Do, Path, To string
	From         string // where files are written before they are moved to Path
	Count        int
	Size         int64
	Seed         uint64
	Storm        storm
}

// answer reports how an act went.
type answer struct {
	Err  string
	Done map[string]int // by a storm
}

// newUser starts the process of an account that belongs to the group of the shared folders.
func newUser(t testing.TB, dir, name string, uid uint32) *user {
	t.Helper()
	bin, err := testProgram()
	must(t, err)
	u := &user{t: t, name: name, home: filepath.Join(dir, name)}
	must(t, errors.Join(os.Mkdir(u.home, 0o755), os.Chown(u.home, int(uid), int(uid))))
	cmd := exec.Command(bin)
	cmd.Dir, cmd.Env, cmd.Stderr = "/", append(os.Environ(), userEnv+"="+name), os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL,
		Credential: &syscall.Credential{Uid: uid, Gid: uid, Groups: []uint32{sharingGroup}}}
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	u.acts, u.done = json.NewEncoder(in), json.NewDecoder(out)
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the process of %s: %v", name, err)
		}
	})
	return u
}

// tries returns how an act went.
func (u *user) tries(a act) (answer, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	var got answer
	if err := errors.Join(u.acts.Encode(a), u.done.Decode(&got)); err != nil {
		return got, err
	}
	if got.Err != "" {
		return got, errors.New(got.Err)
	}
	return got, nil
}

// does fails the story if the act does not succeed.
func (u *user) does(a act) answer {
	u.t.Helper()
	got, err := u.tries(a)
	if err != nil {
		u.t.Fatalf("%s: %s %s %s: %v", u.name, a.Do, a.Path, a.To, err)
	}
	return got
}

// makes makes a thing at a path: "folder", "pipe", "socket" or "file".
func (u *user) makes(thing, path string) { u.t.Helper(); u.does(act{Do: thing, Path: path}) }

// makesSparse makes a file of zeros, and shows it when it has its size.
func (u *user) makesSparse(path string, size int64) {
	u.t.Helper()
	u.does(act{Do: "sparse file", Path: path, Size: size})
}

func (u *user) removes(path string) { u.t.Helper(); u.does(act{Do: "remove", Path: path}) }
func (u *user) links(path, to string) {
	u.t.Helper()
	u.does(act{Do: "link", Path: path, To: to})
}
func (u *user) renames(path, to string) {
	u.t.Helper()
	u.does(act{Do: "rename", Path: path, To: to})
}
func (u *user) exchanges(path, with string) {
	u.t.Helper()
	u.does(act{Do: "exchange", Path: path, To: with})
}

// swaps replaces a path by a link, in one step, and returns where the old thing is kept.
func (u *user) swaps(path, bait string) (kept string) {
	u.t.Helper()
	kept = filepath.Join(u.home, fmt.Sprintf("kept %x", rand.Uint64()))
	u.links(kept, bait)
	u.exchanges(kept, path)
	return kept
}

// putsBack undoes swaps, as far as the agent has left anything to undo.
func (u *user) putsBack(kept, path string) {
	u.t.Helper()
	if _, err := u.tries(act{Do: "exchange", Path: kept, To: path}); err != nil {
		u.t.Logf("%s does not get %s back: %v", u.name, filepath.Base(path), err)
	}
}

// storms starts a storm, which goes on until calms.
func (u *user) storms(s storm) {
	u.t.Helper()
	s.Home = u.home
	u.does(act{Do: "storm", Storm: s})
}

// calms ends the storm, puts everything back, and returns the count of each of the storm's actions.
func (u *user) calms() map[string]int {
	u.t.Helper()
	return u.does(act{Do: "calm"}).Done
}

// serveActs runs the process of a user. It ends with its input.
func serveActs(in io.Reader, out io.Writer) (code int) {
	var r *raging
	acts, answers := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var a act
		if err := acts.Decode(&a); err != nil {
			if r != nil {
				r.calm()
			}
			if err == io.EOF {
				return 0
			}
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		var got answer
		switch a.Do {
		case "storm":
			r = a.Storm.start()
		case "calm":
			got.Done = r.calm()
			r = nil
		default:
			if err := carryOut(a); err != nil {
				got.Err = err.Error()
			}
		}
		if err := answers.Encode(got); err != nil {
			return 1
		}
	}
}

func carryOut(a act) error {
	switch a.Do {
	case "folder":
		return os.Mkdir(a.Path, 0o777)
	case "pipe":
		return unix.Mkfifo(a.Path, 0o666)
	case "socket":
		return bindSocket(a.Path)
	case "file":
		return os.WriteFile(a.Path, ownContent(a.Path), 0o644)
	case "sparse file":
		temp := a.Path + ".part"
		return errors.Join(os.WriteFile(temp, nil, 0o644), os.Truncate(temp, a.Size),
			os.Rename(temp, a.Path))
	case "remove":
		return os.RemoveAll(a.Path)
	case "link":
		return os.Symlink(a.To, a.Path)
	case "rename":
		return os.Rename(a.Path, a.To)
	case "exchange":
		return unix.Renameat2(unix.AT_FDCWD, a.Path, unix.AT_FDCWD, a.To, unix.RENAME_EXCHANGE)
	case "drop":
		return dropFiles(a)
	case "drop folder":
		return dropFolder(a)
	}
	return fmt.Errorf("no such act: %s", a.Do)
}

// ownContent begins like every file of the attacker's own.
func ownContent(path string) []byte { return []byte(ownBegins + path) }

const ownBegins = "mallory's own "

// bindSocket leaves a socket at a path, which may be longer than the 108 bytes of an address.
func bindSocket(path string) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	dir, err := unix.Open(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	return unix.Bind(fd, &unix.SockaddrUnix{
		Name: fmt.Sprintf("/proc/self/fd/%d/%s", dir, filepath.Base(path))})
}

// content returns the content of a dropped file, equal in every process.
func content(seed uint64, size int64) []byte {
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	data := make([]byte, size)
	rand.NewChaCha8(key).Read(data) //nolint:errcheck // it never fails
	return data
}

// dropFiles drops files as users do: half are written in the folder itself, half are moved there.
// To is the pattern of their names. An attacker's swap of the folder only delays it.
func dropFiles(a act) error {
	for i := range a.Count {
		path := filepath.Join(a.Path, fmt.Sprintf(a.To, i))
		temp := path + ".part"
		if i%2 == 0 {
			temp = filepath.Join(a.From, filepath.Base(temp))
		}
		data := content(a.Seed+uint64(i), a.Size)
		if err := insist(func() error { return os.WriteFile(temp, data, 0o644) }); err != nil {
			return err
		}
		if err := insist(func() error { return os.Rename(temp, path) }); err != nil {
			return err
		}
	}
	return nil
}

// insist retries while the attacker is in the way.
func insist(do func() error) (err error) {
	for range 5000 {
		if err = do(); err == nil {
			return nil
		}
		time.Sleep(time.Millisecond)
	}
	return err
}

// folderFiles are the files in a folder that dropFolder drops.
var folderFiles = []string{"top.csv", "sub/one.csv", "sub/two.csv"}

// dropFolder drops a folder, which gets its name when everything is in it.
func dropFolder(a act) error {
	temp := filepath.Join(a.Path, fmt.Sprintf("building %d.tmp", a.Seed))
	if err := os.MkdirAll(filepath.Join(temp, "sub"), 0o777); err != nil {
		return err
	}
	for i, name := range folderFiles {
		if err := os.WriteFile(filepath.Join(temp, name), content(a.Seed+uint64(i), a.Size),
			0o644); err != nil {
			return err
		}
	}
	return os.Rename(temp, filepath.Join(a.Path, a.To))
}

// copyOfSelf copies this program to where every account may run it.
func copyOfSelf(to string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	from, err := os.Open(self)
	if err != nil {
		return "", err
	}
	defer from.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		return "", err
	}
	_, err = io.Copy(out, from)
	return to, errors.Join(err, out.Chmod(0o755), out.Close())
}
