package agent_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sealpost/agent"
	"sealpost/agent/outbox"
	"sealpost/internal/oddfs"
)

// inboxOn moves the inbox of a centre that is stopped to a disk.
func (s *site) inboxOn(disk *oddfs.Disk) {
	s.T.Helper()
	s.set("dir", fmt.Sprintf("%q", filepath.Join(disk.Dir, "inbox")))
	s.set("reserve", `"1MiB"`)
}

// has reports whether a file is in an inbox on a disk, with this content.
func has(disk *oddfs.Disk, name string, content []byte) bool {
	got, err := os.ReadFile(filepath.Join(disk.Dir, "inbox", "FL-LAB", name))
	return err == nil && string(got) == string(content)
}

// Of three files, mostly in one envelope, the centre's disk takes only one. That one arrives, and
// the lab knows the reasons of the others: one is too large, and the name of one is refused. When
// the disk is another one, they are sent again.
func TestAFileThatADiskCannotTakeHoldsUpNoOther(t *testing.T) {
	t.Parallel() // it waits more than it works
	disk := oddfs.Mount(t, oddfs.Habits{MaxFile: 5000})
	w, lab, centre := labAndCentre(t)
	centre.stop()
	centre.inboxOn(disk)
	w.stopHub() // so that they wait together
	big := random(20_000)
	lab.drop("big.bin", big)
	lab.drop("good.csv", []byte("good"))
	lab.drop("odd.csv", []byte("odd"))
	eventually(t, "they are claimed", func() bool { return len(lab.status().Outbox.Latest) == 3 })
	ids := map[string]string{}
	for _, m := range lab.status().Outbox.Latest {
		ids[m.Name] = string(m.ID)
	}
	disk.Fail(oddfs.Rename, "odd.csv", unix.ENAMETOOLONG)
	disk.Fail(oddfs.Rename, ids["odd.csv"]+".csv", unix.ENAMETOOLONG)
	w.startHub()
	eventually(t, "they are published", func() bool {
		return !slices.ContainsFunc(lab.status().Outbox.Latest, func(m outbox.Message) bool {
			return m.Published.IsZero()
		})
	})
	centre.start()
	eventually(t, "the good one is in delivered, and the others in failed", func() bool {
		return slices.Equal(lab.tray("delivered"), []string{"good.csv"}) &&
			len(lab.tray("failed")) == 4 // with their notes
	})
	if !has(disk, "good.csv", []byte("good")) {
		t.Error("the good one is not in the inbox")
	}
	for name, why := range map[string]string{"big.bin": "larger than the disk of the inbox",
		"odd.csv": "neither its name nor a shorter one"} {
		text, err := os.ReadFile(filepath.Join(lab.dir, "failed", ids[name], "WHY.txt"))
		must(t, err)
		for _, part := range []string{name, "CA-RC has refused it", why,
			"sealpost agent resend " + ids[name] + " --to CA-RC"} {
			if !strings.Contains(string(text), part) {
				t.Errorf("the note on %s lacks %q:\n%s", name, part, text)
			}
		}
	}
	says := ""
	for _, r := range centre.status().Inbox.Refused {
		says += r.Detail.String() + "\n"
	}
	for name := range ids {
		if strings.Contains(says, name) != (name != "good.csv") {
			t.Errorf("of %s the centre says %s", name, says)
		}
	}
	disk.Set(oddfs.Habits{})
	for name, content := range map[string][]byte{"big.bin": big, "odd.csv": []byte("odd")} {
		resend := agent.ResendRequest{Message: ids[name], To: "CA-RC"}
		must(t, lab.call(agent.PathResend, resend, nil))
		eventually(t, name+" arrives", func() bool { return has(disk, name, content) })
	}
}

// The disk of an inbox has no long names, no odd ones, no times, no permissions and no safe rename.
// All files arrive.
func TestAnInboxOnAPoorDisk(t *testing.T) {
	t.Parallel() // it waits more than it works
	disk := oddfs.Mount(t, oddfs.Habits{NameMax: 143, ASCII: true, NoTimes: true, NoModes: true,
		NoLinks: true, NoFlags: true})
	_, lab, centre := labAndCentre(t)
	centre.stop()
	centre.inboxOn(disk)
	centre.start()
	long := strings.Repeat("n", 200) + ".csv"
	for _, name := range []string{long, "Müller.csv", "plain.csv"} {
		lab.drop(name, []byte(name))
	}
	eventually(t, "all are delivered", func() bool { return len(lab.tray("delivered")) == 3 })
	for name, want := range map[string]string{"M%C3%BCller.csv": "Müller.csv",
		"plain.csv": "plain.csv"} {
		if !has(disk, name, []byte(want)) {
			t.Errorf("%s is not in the inbox", name)
		}
	}
	found, err := filepath.Glob(filepath.Join(disk.Dir, "inbox", "FL-LAB", "nnn*~*.csv"))
	if err != nil || len(found) != 1 || len(filepath.Base(found[0])) != 143 {
		t.Errorf("the long one is %v, %v", found, err)
	}
}

// Trouble of the centre that has ended is tried at once, and not after the delay. The hub has
// forgotten the sessions of before.
func TestMendedTroubleIsTriedAtOnce(t *testing.T) {
	t.Parallel() // it waits more than it works
	w, lab, centre := labAndCentre(t)
	centre.stop()
	limit := func(size string) { centre.set("max_size", `"`+size+`"`) }
	limit("1MiB")
	centre.start()
	content := random(3 << 20)
	lab.drop("big.bin", content)
	eventually(t, "it is over the limit", func() bool {
		for _, why := range centre.status().Inbox.Released {
			return why.Code == "over-max-size"
		}
		return false
	})
	centre.stop()
	w.stopHub()
	w.startHub()
	limit("1GiB")
	centre.start() // the delay is an hour
	centre.expect("FL-LAB", "big.bin", content)
}

// An admin has the agent try at once. A delivery that rests for an hour is opened again.
func TestRetry(t *testing.T) {
	t.Parallel()
	_, lab, centre := labAndCentre(t)
	centre.stop()
	centre.set("max_size", `"1MiB"`)
	centre.start()
	lab.drop("big.bin", random(3<<20))
	isOverLimit := func() bool {
		for _, why := range centre.status().Inbox.Released {
			return why.Code == "over-max-size"
		}
		return false
	}
	eventually(t, "it is over the limit", isOverLimit)
	must(t, centre.call(agent.PathRetry, agent.Nothing{}, nil)) // it forgets the reason
	eventually(t, "it is over the limit once more", isOverLimit)
	must(t, lab.call(agent.PathRetry, agent.Nothing{}, nil))
}
