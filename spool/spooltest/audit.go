package spooltest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"sealpost/spool"
)

var auditTests = map[string]func(*room){
	"each commit with an entry adds a block": func(r *room) {
		r.check(r.AuditHead() == spool.AuditHead{}, "a new store has %+v", r.AuditHead())
		ctx := spool.WithNote(r.ctx, spool.AuditNote{By: "anna", Call: "/invite"})
		_, err := r.Store.Put(ctx, "site", "FL-LAB", 0, []byte("secret"))
		r.no(err)
		_, err = r.Store.Put(r.ctx, "site", "FL-LAB", 1, nil)
		r.no(err)
		e, _ := r.drop(centre, second)
		d := r.lease(centre, 1)[0]
		r.settle(d)
		_, err = r.Kill(r.ctx, second.Queue(), "recipient-removed")
		r.no(err)
		r.no(r.AuditNote(r.ctx, spool.AuditNote{By: "anna", Text: "<exported> \"ü\""}))
		var ops []string
		for _, b := range r.chain() {
			for _, entry := range b.Entries {
				ops = append(ops, entry.Op)
				switch entry.Op {
				case spool.AuditPublished:
					r.check(entry.Envelope == e.ID && entry.Sender == e.Sender &&
						len(entry.To) == 2 && entry.Size == e.Size && entry.Messages == 1 &&
						entry.Metadata != "", "published %+v", entry)
				case spool.AuditSettled:
					r.check(entry.Envelope == e.ID && entry.Recipient == centre &&
						entry.Receipt != "", "settled %+v", entry)
				case spool.AuditDead:
					r.check(entry.Envelope == e.ID && entry.Recipient == second &&
						entry.Code == "recipient-removed", "dead %+v", entry)
				}
			}
		}
		r.check(fmt.Sprint(ops) == "[put put published settled dead note]", "the chain has %v", ops)
		first := r.chain()[0].Entries[0]
		r.check(first.By == "anna" && first.Call == "/invite" && first.Kind == "site" &&
			first.Key == "FL-LAB" && first.Version == 1 && len(first.Value) == 64,
			"the first entry is %+v", first)
		texts, err := r.AuditBlocks(r.ctx, 0, 1<<20)
		r.no(err)
		r.check(!strings.Contains(string(texts[0]), "secret"), "a value stands in the chain")
	},
	"a repetition and a refusal add none": func(r *room) {
		e, _ := r.drop(centre)
		d := r.lease(centre, 1)[0]
		r.settle(d)
		_, err := r.Store.Put(r.ctx, "site", "a", 0, []byte("x"))
		r.no(err)
		before := r.AuditHead()
		_, err = r.Publish(r.ctx, e)
		r.no(err)
		_, err = r.Settle(r.ctx, settlement(d.DeliveryID, d.Messages))
		r.no(err)
		_, err = r.Store.Put(r.ctx, "site", "a", 0, []byte("x"))
		r.no(err)
		_, err = r.Store.Put(r.ctx, "site", "a", 7, []byte("y"))
		r.want(err, spool.ErrConflict)
		r.check(r.AuditHead() == before, "the chain has grown to %+v", r.AuditHead())
	},
	"the chain survives a restart, and goes on": func(r *room) {
		r.drop(centre)
		before := r.AuditHead()
		r.restart()
		r.check(r.AuditHead() == before, "the head is %+v, was %+v", r.AuditHead(), before)
		r.drop(centre)
		r.check(len(r.chain()) == int(r.AuditHead().Block), "blocks are missing")
	},
	"concurrent commits stand in it once each": func(r *room) {
		var wg sync.WaitGroup
		for i := range 64 {
			wg.Go(func() {
				_, err := r.Store.Put(r.ctx, "site", fmt.Sprint(i), 0, []byte("x"))
				r.no(err)
			})
		}
		wg.Wait()
		seen := map[string]bool{}
		for _, b := range r.chain() {
			for _, e := range b.Entries {
				r.check(!seen[e.Key], "%s stands there twice", e.Key)
				seen[e.Key] = true
			}
		}
		r.check(len(seen) == 64, "%d entries", len(seen))
	},
	"blocks are read in steps": func(r *room) {
		for range 20 {
			r.drop(centre)
		}
		for after := uint64(0); after < r.AuditHead().Block; after++ {
			texts, err := r.AuditBlocks(r.ctx, after, 1)
			r.no(err)
			r.check(len(texts) == 1, "%d blocks", len(texts))
		}
		texts, err := r.AuditBlocks(r.ctx, r.AuditHead().Block, 1<<20)
		r.no(err)
		r.check(len(texts) == 0, "blocks after the head")
	},
	"truncation keeps the hash of the past": func(r *room) {
		for range 600 {
			r.drop(centre)
		}
		r.clock.Advance(time.Hour)
		cut := r.clock.Now()
		n, err := r.AuditTruncate(r.ctx, cut)
		r.no(err)
		head := r.AuditHead()
		r.check(n == 599 && head.Block == 600 && head.Truncated == 599 &&
			head.TruncatedHash != "", "removed %d, the head is %+v", n, head)
		r.restart()
		r.check(r.AuditHead() == head, "after a restart it is %+v", r.AuditHead())
		r.drop(centre)
		r.check(len(r.chain()) == 2, "the chain has %d blocks", len(r.chain()))
		n, err = r.AuditTruncate(r.ctx, cut)
		r.no(err)
		r.check(n == 1 && r.AuditHead().Truncated == 600, "then %d", n)
		n, err = r.AuditTruncate(r.ctx, cut.Add(time.Hour))
		r.no(err)
		r.check(n == 0, "the newest block is gone")
		r.restart()
		r.drop(centre)
		r.check(len(r.chain()) == 2 && r.AuditHead().Block == 602, "the head is %+v",
			r.AuditHead())
	},
	"a note of a cancelled caller is none": func(r *room) {
		ctx, cancel := context.WithCancel(r.ctx)
		cancel()
		err := r.AuditNote(ctx, spool.AuditNote{By: "anna"})
		r.check(errors.Is(err, context.Canceled), "it says %v", err)
		r.check(r.AuditHead().Block == 0, "it stands there")
	},
}

// chain returns all blocks, and checks that each follows the one before, up to the head.
func (r *room) chain() (blocks []spool.AuditBlock) {
	r.Helper()
	head := r.AuditHead()
	at := head.Begin()
	for {
		texts, err := r.AuditBlocks(r.ctx, at.Block, 10_000)
		r.no(err)
		if len(texts) == 0 {
			break
		}
		for _, text := range texts {
			b, err := at.Follow(text)
			r.no(err)
			blocks = append(blocks, b)
		}
	}
	r.check(at == head, "the chain ends at %+v, the head is %+v", at, head)
	return blocks
}
