package dropin

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"sealpost/internal/beneath"
)

const other = 65534 // an account that is not this one

// outside is a folder that nothing may touch, beside an outbox.
type outside struct {
	t   *testing.T
	top string
}

func newOutside(t *testing.T) *outside {
	t.Helper()
	o := &outside{t, t.TempDir()}
	for _, dir := range []string{"outbox", "outside", "from"} {
		must(t, os.Mkdir(o.at(dir), 0o777))
	}
	must(t, os.WriteFile(o.at("outside", "secret"), []byte("secret"), 0o600))
	return o
}

func (o *outside) at(name ...string) string {
	return filepath.Join(append([]string{o.top}, name...)...)
}

// link makes a link of another account.
func (o *outside) link(to string, at ...string) {
	o.t.Helper()
	must(o.t, os.Symlink(to, o.at(at...)))
	if os.Geteuid() == 0 {
		must(o.t, os.Lchown(o.at(at...), other, other))
	}
}

func (o *outside) isUntouched() {
	o.t.Helper()
	if text, err := os.ReadFile(o.at("outside", "secret")); err != nil || string(text) != "secret" {
		o.t.Errorf("outside it says %q, %v", text, err)
	}
	if names := left(o.t, o.at("outside")); len(names) != 1 {
		o.t.Errorf("outside lie %q", names)
	}
}

func TestLinksInOutboxAreNotFollowed(t *testing.T) {
	o := newOutside(t)
	o.link(o.at("outside"), "outbox", "@CA-RC")
	if _, err := Open(o.at("outbox"), "@CA-RC"); !errors.Is(err, beneath.ErrLink) {
		t.Errorf("the folder of an address that is a link: %v", err)
	}
	must(t, os.WriteFile(o.at("from", "secret"), []byte("data"), 0o644))
	o.link(o.at("outside", "secret"), "outbox", "secret")
	if _, err := drop(t.Context(), o.at("from", "secret"), o.at("outbox"), ignore); !errors.Is(err,
		fs.ErrExist) {
		t.Errorf("a link in the place of the copy: %v", err)
	}
	into, err := Open(o.at("outbox"), "")
	must(t, err)
	defer into.Close()
	o.link(o.at("outside", "secret"), "outbox", "run 7.done")
	o.link(o.at("outside", "new"), "outbox", "run 8.done")
	must(t, errors.Join(into.Mark("run 7.done"), into.Mark("run 8.done")))
	o.isUntouched()
}

func TestASourceIsNeitherALinkNorAPipe(t *testing.T) {
	o := newOutside(t)
	o.link(o.at("outside", "secret"), "from", "link")
	must(t, unix.Mkfifo(o.at("from", "pipe"), 0o666))
	must(t, os.Mkdir(o.at("from", "folder"), 0o755))
	must(t, unix.Mkfifo(o.at("from", "folder", "pipe"), 0o666))
	for name, want := range map[string]string{"link": "link is a link: send the file itself",
		"pipe":   "pipe is neither a file nor a folder",
		"folder": "pipe is neither a file nor a folder"} {
		_, size := Size(o.at("from", name))
		_, err := drop(t.Context(), o.at("from", name), o.at("outbox"), ignore)
		for _, err := range []error{size, err} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if names := left(t, o.at("outbox")); len(names) > 0 {
		t.Errorf("left behind: %q", names)
	}
}

// Root sends into an outbox while another account swaps its folders and files for links and back.
// Nothing is written, made or removed elsewhere, and each copy is complete.
func TestSwapsInAnOutbox(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root makes links that belong to another account")
	}
	o := newOutside(t)
	must(t, os.Mkdir(o.at("outbox", "@CA-RC"), 0o777))
	must(t, os.MkdirAll(o.at("from", "run", "deep"), 0o755))
	must(t, os.WriteFile(o.at("from", "data"), []byte("data"), 0o644))
	must(t, os.WriteFile(o.at("from", "run", "deep", "data"), []byte("data"), 0o644))
	held := func(dir string) *os.File { // a path would lead outside, too
		f, err := os.Open(dir)
		must(t, err)
		t.Cleanup(func() { f.Close() })
		return f
	}
	top, outbox, address := held(o.top), held(o.at("outbox")), held(o.at("outbox", "@CA-RC"))
	o.link(o.at("outside"), "link")
	o.link(o.at("outside"), "outbox", "link")
	o.link(o.at("outside"), "outbox", "@CA-RC", "trap")
	exchange := func(dir *os.File, a, b string) {
		//nolint:errcheck // the next one may work
		unix.Renameat2(int(dir.Fd()), a, int(dir.Fd()), b, unix.RENAME_EXCHANGE)
	}
	stop := make(chan struct{})
	var attackers sync.WaitGroup
	for _, attack := range []func(){
		func() { exchange(top, "outbox", "link") },
		func() { exchange(outbox, "@CA-RC", "link") },
		func() {
			address.Seek(0, 0) //nolint:errcheck // the next look may work
			names, err := address.Readdirnames(-1)
			for _, name := range names {
				if err == nil && strings.HasPrefix(name, ".sealpost-") {
					exchange(address, name, "trap")
					exchange(address, name, "trap")
				}
			}
		},
	} {
		attackers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					attack()
				}
			}
		})
	}
	copied, failed := 0, 0
	for i := 0; copied < 100 && i < 1_000_000; i++ {
		name := [...]string{"data", "run"}[i%2]
		into, err := Open(o.at("outbox"), "@CA-RC")
		if err != nil {
			failed++
			continue
		}
		_, err = into.Copy(t.Context(), o.at("from", name), ignore)
		into.Mark(name + ".done") //nolint:errcheck // it may fail
		into.Close()
		if err != nil {
			failed++
			continue
		}
		copied++
		held := fmt.Sprintf("/proc/self/fd/%d/%s", address.Fd(), name)
		if i%2 == 1 {
			held = filepath.Join(held, "deep", "data")
		}
		if text, err := os.ReadFile(held); err == nil && string(text) != "data" {
			t.Fatalf("the copy holds %q", text)
		}
		must(t, unix.Renameat(int(address.Fd()), name, int(top.Fd()), fmt.Sprint("taken", i)))
	}
	close(stop)
	attackers.Wait()
	t.Logf("%d copied, %d refused", copied, failed)
	if copied == 0 || failed == 0 {
		t.Errorf("%d copied, %d refused: nothing was swapped", copied, failed)
	}
	o.isUntouched()
}

// Another account replaces the file during a copy, as soon as it has a name. In the end the copy
// has the original's name, or the caller gets an error.
func TestAFileOfAnothersIsNotTheCopy(t *testing.T) {
	o := newOutside(t)
	must(t, os.WriteFile(o.at("from", "data"), []byte("data"), 0o644))
	outbox, err := os.Open(o.at("outbox"))
	must(t, err)
	defer outbox.Close()
	stop := make(chan struct{})
	var attacker sync.WaitGroup
	attacker.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			outbox.Seek(0, 0) //nolint:errcheck // the next look may work
			names, _ := outbox.Readdirnames(-1)
			for _, name := range names {
				if strings.HasPrefix(name, ".sealpost-") {
					//nolint:errcheck // the next one may work
					unix.Renameat2(int(outbox.Fd()), name, unix.AT_FDCWD, o.at("trap"),
						unix.RENAME_EXCHANGE)
				}
			}
		}
	})
	into, err := Open(o.at("outbox"), "")
	must(t, err)
	defer into.Close()
	wrong, refused := 0, 0
	for range 400 {
		must(t, os.WriteFile(o.at("trap"), []byte("trap"), 0o644))
		c, err := into.Copy(t.Context(), o.at("from", "data"), ignore)
		if err != nil {
			refused++
			continue
		}
		if text, err := os.ReadFile(o.at("outbox", "data")); err != nil || string(text) != "data" &&
			c.IsAt(o.at("outbox"), "data") {
			wrong++
		}
		must(t, os.Remove(o.at("outbox", "data")))
	}
	close(stop)
	attacker.Wait()
	if wrong > 0 {
		t.Errorf("%d times the copy was another's file, and the caller was not told", wrong)
	}
	if refused == 0 {
		t.Error("nothing was exchanged")
	}
}
