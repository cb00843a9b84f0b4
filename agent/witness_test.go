package agent

import (
	"testing"

	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/internal/reason"
)

func TestTheWitnessOfTheHubsPast(t *testing.T) {
	seen := witness{Incarnation: "one", Block: 10, Hash: "ten"}
	receipt := seen
	receipt.Receipt = auditBlock{11, "eleven"}
	newest := witness{Incarnation: "one", Block: 12, Hash: "twelve"}
	for name, c := range map[string]struct {
		seen  witness
		hub   id.Incarnation
		audit *api.Audit
		next  witness
		alarm reason.Code
	}{
		"first contact": {witness{}, "one", &api.Audit{Block: 12, Hash: "twelve"}, newest, ""},
		"grown": {seen, "one", &api.Audit{Block: 12, Hash: "twelve", Asked: "ten"}, newest,
			""},
		"unchanged": {seen, "one", &api.Audit{Block: 10, Hash: "ten", Asked: "ten"}, seen, ""},
		"rewritten": {seen, "one", &api.Audit{Block: 12, Hash: "twelve", Asked: "other"}, seen,
			"audit-rewritten"},
		"rewritten at the head": {seen, "one", &api.Audit{Block: 10, Hash: "x", Asked: "x"}, seen,
			"audit-rewritten"},
		"not shown": {seen, "one", &api.Audit{Block: 12, Hash: "twelve"}, seen, "audit-rewritten"},
		"gone back": {seen, "one", &api.Audit{Block: 9, Hash: "nine"}, seen, "audit-went-back"},
		"gone":      {seen, "one", nil, seen, "audit-gone"},
		"truncated past it": {seen, "one", &api.Audit{Block: 12, Hash: "twelve", Truncated: 11},
			newest, ""},
		"truncated up to it": {seen, "one", &api.Audit{Block: 12, Hash: "twelve", Truncated: 10,
			Asked: "ten"}, newest, ""},
		"another up to it": {seen, "one", &api.Audit{Block: 12, Hash: "twelve", Truncated: 10,
			Asked: "x"}, seen, "audit-rewritten"},
		"a receipt's head in it": {receipt, "one", &api.Audit{Block: 12, Hash: "twelve",
			Asked: "ten", AskedReceipt: "eleven"}, newest, ""},
		"a receipt's head was rewritten": {receipt, "one", &api.Audit{Block: 12, Hash: "twelve",
			Asked: "ten", AskedReceipt: "x"}, receipt, "audit-rewritten"},
		"gone back behind a receipt": {receipt, "one", &api.Audit{Block: 10, Hash: "ten",
			Asked: "ten"}, receipt, "audit-went-back"},
		"truncated past a receipt": {receipt, "one", &api.Audit{Block: 12, Hash: "twelve",
			Truncated: 12}, newest, ""},
		"another store": {seen, "two", &api.Audit{Block: 1, Hash: "one"},
			witness{Incarnation: "two", Block: 1, Hash: "one"}, ""},
		"a hub of an older version": {witness{}, "one", nil, witness{}, ""},
	} {
		hello := api.Hello{Incarnation: c.hub, Audit: c.audit}
		if next, alarm := c.seen.next(hello); next != c.next || alarm.Code != c.alarm {
			t.Errorf("%s: %+v, %q, want %+v, %q", name, next, alarm.Code, c.next, c.alarm)
		}
	}
}
