package agent_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sealpost/agent"
	"sealpost/internal/id"
)

// A centre takes nothing from a sender that it has blocked, also after a restart. The lab reads it,
// others are not held up, and the file comes once the block ends.
func TestABlockedSender(t *testing.T) {
	t.Parallel()
	w, lab, centre := labAndCentre(t)
	w.bind("ca_rc_queue", "fl-lab.*", "pa-lab.*")
	other := w.join("PA-LAB", "send", "CA-RC")
	lab.drop("before", []byte("before"))
	centre.expect("FL-LAB", "before", []byte("before"))
	block := agent.BlockRequest{Site: "FL-LAB"}
	must(t, centre.call(agent.PathBlock, block, nil))
	must(t, centre.call(agent.PathBlock, block, nil)) // again
	if err := lab.call(agent.PathBlock, block, nil); err == nil {
		t.Error("a site that receives nothing blocks")
	}
	for _, n := range []string{"1", "2"} { // before and after a restart
		lab.drop("data"+n, []byte(n))
		eventually(t, "the hub has it",
			func() bool { return lab.status().Outbox.Counts["published"] > 0 })
		other.drop("other"+n, []byte(n))
		centre.expect("PA-LAB", "other"+n, []byte(n))
		if got := centre.status(); !slices.Equal(got.Blocked, []id.Site{"FL-LAB"}) ||
			slices.Contains(centre.inInbox(), "FL-LAB/data"+n) || len(got.Inbox.Released) > 0 {
			t.Fatalf("blocked are %v, and received %v", got.Blocked, centre.inInbox())
		}
		eventually(t, "the lab reads it", func() bool {
			text, _ := os.ReadFile(filepath.Join(lab.dir, "STATUS.txt"))
			return slices.Equal(lab.status().Link.BlockedBy, []id.Site{"CA-RC"}) &&
				strings.Contains(string(text), "BLOCKED BY A SITE")
		})
		centre.stop()
		centre.start()
	}
	must(t, centre.call(agent.PathUnblock, block, nil))
	must(t, centre.call(agent.PathUnblock, block, nil)) // again
	centre.expect("FL-LAB", "data1", []byte("1"))
	centre.expect("FL-LAB", "data2", []byte("2"))
}
