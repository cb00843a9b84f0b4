package agent_test

import (
	"bytes"
	"testing"

	"sealpost/agent"
	"sealpost/agent/ledger"
	"sealpost/hub"
	"sealpost/internal/reason"
	"sealpost/spool"
)

// A lab above its quota keeps its file, reads the limit, and sends the file once there is room. A
// file that never fits says so.
func TestALabReadsItsQuota(t *testing.T) {
	t.Parallel()
	w, lab, centre := labAndCentre(t)
	centre.stop()
	quota := func(q spool.Quota) {
		w.admin(hub.ControlQuota, hub.QuotaRequest{Site: "FL-LAB", Send: q}, &hub.SiteUsage{})
	}
	why := func() reason.Reason { return lab.status().Outbox.Blocked["fl-lab.dat"] }
	quota(spool.Quota{Envelopes: 1})
	lab.drop("first.csv", []byte("1"))
	eventually(t, "the first is at the hub", func() bool {
		return lab.status().Outbox.Counts[ledger.Published] == 1
	})
	lab.drop("second.csv", []byte("2"))
	const over = "the hub has no room for it in the quota of FL-LAB: 1 of 1 envelope waits. It " +
		"is sent by itself once there is room; to get more, ask the admin of the hub " +
		"('sealpost hub quota')"
	eventually(t, "the lab reads its quota", func() bool { return why().String() == over },
		func() string { return why().String() })
	if why().Code != "hub-over-quota" {
		t.Errorf("its code is %s", why().Code)
	}
	const german = "beim Hub reicht das Kontingent von FL-LAB dafür nicht aus: 1 von 1 Umschlag " +
		"wartet. Sie wird von selbst gesendet, sobald Platz ist; mehr gewährt der Administrator " +
		"des Hubs ('sealpost hub quota')"
	if got := why().In(reason.German); got != german {
		t.Errorf("in German: %s", got)
	}
	lab.stop()
	quota(spool.Quota{Envelopes: hub.DefaultQuota, Bytes: 1 << 20})
	lab.start() // which does not wait for the next try
	centre.start()
	centre.expect("FL-LAB", "second.csv", []byte("2"))

	large := bytes.Repeat([]byte("large"), 1<<20)
	lab.drop("large.bin", large)
	eventually(t, "the lab reads that it never fits", func() bool {
		return why().Code == "hub-quota-too-small"
	}, func() string { return why().String() })
	var history agent.Log
	must(t, lab.call(agent.PathLog, agent.MessageRequest{
		Message: string(lab.status().Outbox.Latest[0].ID)}, &history))
	if got := history.Sent.Reason.Code; got != "hub-quota-too-small" {
		t.Errorf("of the file itself it says %q", got)
	}
	lab.stop()
	quota(spool.Quota{Bytes: hub.DefaultQuota})
	lab.start()
	centre.expect("FL-LAB", "large.bin", large)
}
