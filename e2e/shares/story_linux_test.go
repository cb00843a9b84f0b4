package shares

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sealpost/config"
	"sealpost/internal/testkit"
	"sealpost/internal/testnet"
)

// share is a share of the machine, with its folder at the client and at the server.
type share struct{ name, client, server string }

var shares = []share{{"NFSv4", "/media/nfs", "/srv/nfs"}, {"SMB", "/media/smb", "/srv/smb"}}

// eachShare tells a story on each share.
func eachShare(t *testing.T, story func(t *testing.T, s share)) {
	if !isInMachine() {
		t.Skip("the machine runs it, see TestInAMachine")
	}
	for i, s := range shares {
		t.Run(s.name, func(t *testing.T) {
			name := fmt.Sprintf("%s-%d", strings.ToLower(t.Name()[:5]), i)
			s.client, s.server = filepath.Join(s.client, name), filepath.Join(s.server, name)
			testkit.Must(t, os.Mkdir(s.server, 0o777))
			story(t, s)
		})
	}
}

// patience is how long a file may be under way: the machine is slow.
const patience = time.Minute

// network runs a hub, a lab and a centre. tray and inbox are their folders; empty: the usual.
func network(t *testing.T, tray, inbox string) (lab, centre *testnet.Site) {
	t.Helper()
	n := testnet.New(t, testnet.Options{})
	centre = n.Join("CA-RC", config.RoleReceive)
	lab = n.Join("FL-LAB", config.RoleSend, "CA-RC")
	n.Hub.Bind("ca_rc_queue", "fl-lab.*")
	lab.Set("settle", `"2s"`)
	lab.Set("folder_settle", `"2s"`)
	if tray != "" {
		lab.Set("dir", `"`+tray+`"`)
	}
	if inbox != "" {
		centre.Set("dir", `"`+inbox+`"`)
	}
	centre.Start()
	lab.Start()
	return lab, centre
}

// expect waits until a file with this content lies where a pattern says.
func expect(t *testing.T, pattern, want string) {
	t.Helper()
	testkit.EventuallyWithin(t, patience, "whole: "+pattern, func() bool {
		found, _ := filepath.Glob(pattern)
		if len(found) != 1 {
			return false
		}
		text, err := os.ReadFile(found[0])
		return err == nil && string(text) == want
	})
}

// A finished file is sent though its lease is refused.
func TestTrayOnAShare(t *testing.T) {
	eachShare(t, func(t *testing.T, s share) {
		_, centre := network(t, s.client, "")
		names := []string{"a.csv", "b.csv", "c.csv"}
		for _, name := range names {
			path := filepath.Join(s.client, "outbox", name)
			testkit.Must(t, os.WriteFile(path, []byte(name), 0o644))
			t.Logf("a lease on %s is answered with %v", name, lease(path))
		}
		for _, name := range names {
			expect(t, filepath.Join(s.client, "delivered", "*", name), name)
			expect(t, filepath.Join(centre.Dir, "inbox", "FL-LAB", name), name)
		}
	})
}

func lease(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_RDLCK)
	return err
}

// A file that a program on the server writes, with pauses, arrives whole.
func TestWriterOnTheServer(t *testing.T) {
	eachShare(t, func(t *testing.T, s share) {
		_, centre := network(t, s.client, "")
		f, err := os.Create(filepath.Join(s.server, "outbox", "run.raw"))
		testkit.Must(t, err)
		whole := ""
		for part := range 4 {
			text := strings.Repeat(fmt.Sprint(part), 1000)
			whole += text
			_, err := f.WriteString(text)
			testkit.Must(t, err)
			time.Sleep(5 * time.Second) // a pause of the program
		}
		testkit.Must(t, f.Close())
		expect(t, filepath.Join(centre.Dir, "inbox", "FL-LAB", "run.raw"), whole)
	})
}

// An inbox on a share takes files and folders.
func TestInboxOnAShare(t *testing.T) {
	eachShare(t, func(t *testing.T, s share) {
		lab, _ := network(t, "", s.client)
		lab.Drop("data.csv", []byte("1,2,3"))
		made := filepath.Join(lab.Dir, "making")
		testkit.Must(t, os.Mkdir(made, 0o755))
		testkit.Must(t, os.WriteFile(filepath.Join(made, "scan"), []byte("4"), 0o644))
		testkit.Must(t, os.Rename(made, filepath.Join(lab.Dir, "outbox", "run")))
		expect(t, filepath.Join(s.client, "FL-LAB", "data.csv"), "1,2,3")
		expect(t, filepath.Join(s.client, "FL-LAB", "run", "scan"), "4")
	})
}
