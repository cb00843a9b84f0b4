//go:build linux

package e2e

import (
	"fmt"
	"testing"

	"sealpost/e2e/badline"
)

// Large files take their time on a slow line, each way. A small one goes past them, however many
// there are.
func TestSmallOnesDoNotWaitBehindLargeOnes(t *testing.T) {
	t.Parallel()
	many := 40
	if soak {
		many = 400 // more than an agent holds at the same time
	}
	const each = 3 * mib / 2 // large, and about two seconds of the line
	w, lab, centre := labAndCentre(t)
	centre.Through(newBadLine(t, w.addr, badline.Example.Faster(2)))
	centre.Stop()
	for i := range many {
		lab.Drop(fmt.Sprintf("large %d.bin", i), each)
	}
	eventually(t, "the hub has all", func() bool { return w.hub.Status().Waiting == int64(many) },
		lab.statusText)

	centre.Start()
	eventually(t, "the large ones are on their way down",
		func() bool { return len(centre.Status().Inbox.Downloads) > 0 }, centre.statusText)
	lab.Drop("small, down.csv", smallFile)
	centre.Expect(lab, "small, down.csv")
	if n := centre.count("inbox") - 1; n > many/2 {
		t.Errorf("%d large files arrived before a small one", n)
	}

	lab.Through(newBadLine(t, w.addr, badline.Example.Faster(2)))
	lab.MoveIn("huge.bin", threeParts)
	uploads := func() int { return len(lab.Status().Outbox.Uploads) }
	eventually(t, "it is on its way up", func() bool { return uploads() > 0 }, lab.statusText)
	lab.Drop("small, up.csv", smallFile)
	centre.Expect(lab, "small, up.csv")
	if uploads() == 0 {
		t.Error("a small file waited for a huge one")
	}
}
