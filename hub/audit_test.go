package hub

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sealpost/certs"
	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/internal/reason"
	"sealpost/spool"
)

// auditPages returns the pages of the hub's chain.
func (q *headquarters) auditPages(after uint64) (AuditAnswer, error) {
	return tryAsk[AuditAnswer](q, ControlAudit, AuditRequest{After: after})
}

// entries returns the verified entries of the hub's chain.
func (q *headquarters) entries() (all []spool.AuditEntry) {
	q.t.Helper()
	if _, err := FollowAudit(q.auditPages, func(_ string, b spool.AuditBlock) error {
		all = append(all, b.Entries...)
		return nil
	}); err != nil {
		q.t.Fatal(err)
	}
	return all
}

// The chain has each act with its author, across a restart, and no secret.
func TestTheAuditChain(t *testing.T) {
	q := openHeadquarters(t)
	anna := q.joinAdmin("ANNA", certs.RoleAdmin)
	invited, err := remoteAsk[Invited](anna, ControlInvite,
		InviteRequest{Site: "FL-LAB", Role: "send"})
	if err != nil {
		t.Fatal(err)
	}
	lab := q.stranger("FL-LAB")
	wantCode(t, lab.enroll(certs.NewSecret()), api.CodeInvitation)
	if err := lab.enroll(invited.Secret); err != nil {
		t.Fatal(err)
	}
	ca := q.centre("CA-RC", "#")
	sent := lab.send(key("fl-lab.dat"), "x")
	ca.settle(ca.take())
	_, err = remoteAsk[Changed](anna, ControlRevoke, RevokeRequest{Site: "XX-LAB"})
	wantCode(t, err, api.CodeRefused)
	ask[Removed](q, ControlRemoveAdmin, RemoveAdminRequest{Name: "ANNA"})
	before := q.hub.spool.AuditHead()
	q.restart()
	ask[Exported](q, ControlExport, Nothing{})
	admin, site := string(anna.identity.Key()), string(lab.identity.Key())
	for name, has := range map[string]func(e spool.AuditEntry) bool{
		"the invitation by an admin": func(e spool.AuditEntry) bool {
			return e.Op == spool.AuditPut && e.Kind == kindInvitation && e.Key == "FL-LAB" &&
				e.By == "admin ANNA "+admin+" from 127.0.0.1" && e.Call == ControlInvite
		},
		"the outcome of it": func(e spool.AuditEntry) bool {
			return e.Op == spool.AuditAct && e.Call == ControlInvite &&
				strings.HasPrefix(e.By, "admin ANNA ") && e.Text ==
				`done {"site":"FL-LAB","role":"send"}`
		},
		"a refused call": func(e spool.AuditEntry) bool {
			return e.Call == ControlRevoke && strings.HasPrefix(e.Text, "refused: there is no site")
		},
		"the enrolment by its key": func(e spool.AuditEntry) bool {
			return e.Op == spool.AuditPut && e.Kind == kindSite && e.Key == "FL-LAB" &&
				e.By == "key "+site+" from 127.0.0.1"
		},
		"the certificate": func(e spool.AuditEntry) bool {
			return e.By == "key "+site && strings.HasPrefix(e.Text, "certificate ")
		},
		"an act on the socket": func(e spool.AuditEntry) bool {
			return e.Op == spool.AuditPut && e.Kind == kindAdmin && e.Key == "ANNA" &&
				e.Version == 0 && strings.HasPrefix(e.By, "account ")
		},
		"the publish": func(e spool.AuditEntry) bool {
			return e.Op == spool.AuditPublished && e.Envelope == sent.Envelope &&
				e.Sender == "FL-LAB" && slices.Equal(e.To, sent.Recipients)
		},
		"the receipt": func(e spool.AuditEntry) bool {
			return e.Op == spool.AuditSettled && e.Envelope == sent.Envelope && e.Receipt != ""
		},
		"the refusals": func(e spool.AuditEntry) bool {
			return e.Call == "refusals" && strings.Contains(e.Text, `"`+refusedInvitation+`":1`)
		},
		"the export": func(e spool.AuditEntry) bool {
			return e.Call == ControlExport && e.Text == "done {}"
		},
	} {
		if n := len(slices.DeleteFunc(q.entries(), func(e spool.AuditEntry) bool {
			return !has(e)
		})); n != 1 {
			t.Errorf("%s stands %d times in the chain", name, n)
		}
	}
	text, err := json.Marshal(q.entries())
	if err != nil || bytes.Contains(text, []byte(invited.Secret)) ||
		bytes.Contains(text, []byte(certs.HashSecret(invited.Secret))) {
		t.Errorf("the chain holds a secret, %v", err)
	}
	if now := q.hub.spool.AuditHead(); now.Block <= before.Block {
		t.Errorf("after a restart the chain begins anew: %+v, then %+v", before, now)
	}
}

// An exported chain is verified without the hub, and every change of it is found.
func TestAnExportedAuditChain(t *testing.T) {
	q := openHeadquarters(t)
	for i := range 20 {
		ask[Invited](q, ControlInvite, InviteRequest{
			Site: id.Site(fmt.Sprintf("LAB-%02d", i)), Role: "send"})
	}
	var text bytes.Buffer
	wrote := 0
	head, err := WriteAudit(&text, q.auditPages, func(spool.AuditBlock) { wrote++ })
	if err != nil || wrote < 40 || uint64(wrote) != head.Head.Block {
		t.Fatalf("wrote %d blocks of %+v, %v", wrote, head.Head, err)
	}
	read := func(text string) (n int, err error) {
		_, err = FollowAudit(ReadAudit(strings.NewReader(text)),
			func(string, spool.AuditBlock) error { n++; return nil })
		return n, err
	}
	if n, err := read(text.String()); err != nil || n != wrote {
		t.Fatalf("read %d of %d blocks, %v", n, wrote, err)
	}
	lines := strings.SplitAfter(text.String(), "\n")
	without := func(from, to int) string {
		return strings.Join(slices.Delete(slices.Clone(lines), from, to), "")
	}
	for name, c := range map[string]struct{ text, code string }{
		"a changed author": {strings.Replace(text.String(), `"by":"account `, `"by":"acc0unt `, 1),
			"audit-broken"},
		"a removed block": {without(5, 6), "audit-broken"},
		"a cut end":       {without(30, len(lines)), "audit-file-short"},
		"a cut line":      {text.String()[:text.Len()-9], "audit-file-cut"},
		"no end":          {lines[0], "audit-file-short"},
		"another file":    {"hello\n", "audit-no-export"},
		"nothing":         {"", "audit-no-export"},
		"another head": {strings.Replace(text.String(), `"hash":"`, `"hash":"0`, 1),
			"audit-other-head"},
	} {
		_, err := read(c.text)
		if string(reason.Of(err).Code) != c.code {
			t.Errorf("%s: it says %v, want %s", name, err, c.code)
		}
	}
	for i := range lines[1 : len(lines)-2] { // each block in another's place
		swapped := slices.Clone(lines)
		swapped[i+1], swapped[i+2] = swapped[i+2], swapped[i+1]
		if _, err := read(strings.Join(swapped, "")); err == nil {
			t.Fatalf("block %d in the place of the next is not found", i+1)
		}
	}
}

// The chain keeps its past for keep_audit, which a reload changes, and goes on after it.
func TestTheAuditChainIsTruncated(t *testing.T) {
	const day = 24 * time.Hour
	q := newHeadquarters(t)
	q.reloads()
	q.start()
	t.Cleanup(q.stop)
	q.lab("FL-LAB")
	past := q.hub.spool.AuditHead()
	q.clock.forward(100 * day)
	q.hub.truncateAudit(t.Context())
	if head := q.hub.spool.AuditHead(); head != past {
		t.Errorf("truncated before its time: %+v", head)
	}
	q.edit(`keep_audit = "9600h"`, `keep_audit = "48h"`)
	q.expectReload([]string{"keep_audit"}, nil)
	q.hub.truncateAudit(t.Context())
	head := q.hub.spool.AuditHead()
	if head.Truncated != past.Block || head.TruncatedHash != past.Hash {
		t.Errorf("truncated to %+v, want %+v", head, past)
	}
	q.restart()
	if q.lab("PA-LAB"); len(q.entries()) == 0 || q.hub.spool.AuditHead().Truncated != past.Block {
		t.Errorf("it does not go on: %+v", q.hub.spool.AuditHead())
	}
}

// A site that names a block is told its hash: of the newest, an older and a truncated one.
func TestASiteIsToldTheHashOfItsBlock(t *testing.T) {
	q := openHeadquarters(t)
	lab := q.lab("FL-LAB")
	q.centre("CA-RC")
	hashes := []id.Hash{""}
	if _, err := FollowAudit(q.auditPages, func(text string, _ spool.AuditBlock) error {
		hashes = append(hashes, spool.AuditHash([]byte(text)))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	q.clock.forward(500 * 24 * time.Hour)
	certify(lab, q.hub.authority, q.clock.now())
	newest := uint64(len(hashes) - 1)
	expect := func(from uint64) {
		t.Helper()
		for n := range newest + 3 {
			client := api.NewClient(api.ClientOptions{Hubs: []string{q.config.Listen},
				TLS: lab.tls(), Session: id.Random128[id.Session](), Role: "send",
				Audit: func() (newest, receipt uint64) { return n, n }})
			hello, err := client.Hello(t.Context())
			client.CloseIdle()
			head := q.hub.spool.AuditHead()
			if err != nil || hello.Audit == nil || hello.Audit.Block != head.Block ||
				hello.Audit.Hash != head.Hash || hello.Audit.Truncated != head.Truncated {
				t.Fatalf("the head is %+v, %v, want %+v", hello.Audit, err, head)
			}
			want := id.Hash("")
			if n >= from && n <= newest {
				want = hashes[n]
			}
			if a := hello.Audit; n <= newest && (a.Asked != want || a.AskedReceipt != want) {
				t.Errorf("block %d has the hash %s, want %s", n, a.Asked, want)
			}
		}
	}
	expect(1)
	q.hub.note(t.Context(), spool.AuditNote{By: "hub"})
	if n, err := q.hub.spool.AuditTruncate(t.Context(),
		q.clock.now().Add(-time.Hour)); err != nil || n != int(newest) {
		t.Fatalf("truncated %d, %v", n, err)
	}
	expect(newest)
}

// The answer to a receipt has the head of the chain, in which the receipt stands.
func TestAReceiptIsAnsweredWithTheHead(t *testing.T) {
	q := openHeadquarters(t)
	lab, ca := q.lab("FL-LAB"), q.centre("CA-RC", "#")
	var got api.Audit
	var of id.Incarnation
	client := api.NewClient(api.ClientOptions{Hubs: []string{q.config.Listen}, TLS: ca.tls(),
		Settled: func(incarnation id.Incarnation, head api.Audit) { of, got = incarnation, head }})
	defer client.CloseIdle()
	sent := lab.send(key("fl-lab.dat"), "x")
	d := ca.take()
	settlement := api.Settlement{Delivery: d.DeliveryID, Receipt: sign(ca, ca.receipt(d))}
	wrong := settlement
	wrong.Delivery.Sequence++
	for _, s := range []api.Settlement{wrong, settlement} {
		if got != (api.Audit{}) {
			t.Errorf("a settlement that failed has the head %+v", got)
		}
		if _, err := client.Settle(t.Context(), []api.Settlement{s}); err != nil {
			t.Fatal(err)
		}
	}
	if of != q.store.Incarnation() {
		t.Errorf("the head is of the store %s", of)
	}
	found := false
	if _, err := FollowAudit(q.auditPages, func(text string, b spool.AuditBlock) error {
		found = found || slices.ContainsFunc(b.Entries, func(e spool.AuditEntry) bool {
			return e.Op == spool.AuditSettled && e.Envelope == sent.Envelope
		})
		if b.Block == got.Block && (spool.AuditHash([]byte(text)) != got.Hash || !found) {
			t.Errorf("the answer's head is %+v, and the receipt is in the chain: %v", got, found)
		}
		return nil
	}); err != nil || !found || got.Block == 0 {
		t.Errorf("followed the chain to %+v: %v", got, err)
	}
}
