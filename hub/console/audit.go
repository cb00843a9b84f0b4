package console

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"sealpost/hub"
	"sealpost/internal/id"
	"sealpost/spool"
)

const blockPage = 50

// chain is the page of the audit chain.
type chain struct {
	Head     spool.AuditHead
	Network  id.Hash
	Entries  []entry // the newest first
	Older    uint64  // the number for the next page; 0: there is none
	Verified string
	Broken   string
}

// entry is one line of a block.
type entry struct {
	Block         uint64
	At            time.Time
	Op, By, Facts string
}

// audit shows the audit chain, and verifies it when asked.
func audit(v *visit) error {
	head, err := ask[hub.AuditAnswer](v, hub.ControlAudit, hub.AuditRequest{After: 1 << 62})
	if err != nil {
		return err
	}
	c := chain{Head: head.Head, Network: head.Network}
	last := c.Head.Block
	if n, err := strconv.ParseUint(v.field("before"), 10, 64); err == nil && n > 0 && n <= last {
		last = n - 1
	}
	first := max(c.Head.Truncated, last-min(last, blockPage))
	if first < last {
		page, err := ask[hub.AuditAnswer](v, hub.ControlAudit, hub.AuditRequest{After: first})
		if err != nil {
			return err
		}
		c.add(page.Blocks, last)
	}
	if first > c.Head.Truncated {
		c.Older = first + 1
	}
	if v.field("verify") != "" {
		v.verify(&c)
	}
	return v.page("audit", "Audit", c)
}

// add adds the entries of blocks up to a number.
func (c *chain) add(blocks []string, last uint64) {
	for _, text := range blocks {
		b, err := spool.ParseAuditBlock([]byte(text))
		if err != nil {
			c.Broken = err.Error()
			return
		}
		if b.Block > last {
			break
		}
		for _, e := range b.Entries {
			c.Entries = append(c.Entries, entry{b.Block, b.Time, e.Op, e.By, factsOf(e)})
		}
	}
	slices.Reverse(c.Entries)
}

// factsOf returns the facts of an entry as one text.
func factsOf(e spool.AuditEntry) string {
	var list []string
	add := func(name string, value any) {
		if text := fmt.Sprint(value); text != "" && text != "0" && text != "[]" {
			list = append(list, strings.TrimSpace(name+" "+text))
		}
	}
	add("", e.Call)
	add("", e.Kind)
	add("", e.Key)
	add("from", e.Sender)
	add("to", e.To)
	add("for", e.Recipient)
	add("messages", e.Messages)
	add("bytes", e.Size)
	add("refused", e.Refused)
	add("", e.Code)
	add("", e.Text)
	return strings.Join(list, " · ")
}

// verify follows the whole chain.
func (v *visit) verify(c *chain) {
	began, count := time.Now(), 0
	_, err := hub.FollowAudit(func(after uint64) (hub.AuditAnswer, error) {
		return ask[hub.AuditAnswer](v, hub.ControlAudit, hub.AuditRequest{After: after})
	}, func(string, spool.AuditBlock) error { count++; return v.r.Context().Err() })
	if err != nil {
		c.Broken = sentence(err.Error())
		return
	}
	c.Verified = fmt.Sprintf("%s verified in %s: each holds the hash of the one before.",
		counted(count, "block is", "blocks are"), time.Since(began).Round(time.Millisecond))
}
