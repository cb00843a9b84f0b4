package spooltest

import (
	"fmt"
	"strings"
	"time"

	"sealpost/internal/id"
	"sealpost/spool"
)

// find collects all pages of a query.
func (r *room) find(q spool.Query, page int) (all []spool.Record) {
	r.Helper()
	var after spool.Cursor
	for {
		recs, next, err := r.Find(r.ctx, q, after, page)
		r.no(err)
		r.check(len(recs) <= page, "a page of %d has %d records", page, len(recs))
		all = append(all, recs...)
		if next == 0 {
			return all
		}
		after = next
	}
}

// brief writes records as label/recipient.
func brief(recs []spool.Record) string {
	var words []string
	for _, rec := range recs {
		words = append(words, fmt.Sprintf("%s/%s",
			strings.TrimPrefix(string(rec.Message), "FL-LAB_DAT_20251008_"), rec.Recipient))
	}
	return strings.Join(words, " ")
}

// named publishes an envelope with one message of that number.
func (r *room) named(number string, sender id.Site,
	sites ...id.Site) (spool.Envelope, spool.Published) {
	r.Helper()
	e := envelope(100, sites...)
	e.Sender, e.Messages[0].ID = sender, id.Message("FL-LAB_DAT_20251008_"+number)
	return e, r.publish(e)
}

var findTests = map[string]func(*room){
	"lists the newest first, by sender and by recipient": func(r *room) {
		r.named("001", lab, centre, second)
		r.named("002", lab, second)
		r.named("003", other, centre)
		for _, page := range []int{1, 2, 100} {
			for _, c := range []struct {
				query spool.Query
				want  string
			}{
				{spool.Query{Sender: lab}, "002/SF-RC 001/CA-RC 001/SF-RC"},
				{spool.Query{Sender: other}, "003/CA-RC"},
				{spool.Query{Recipient: centre}, "003/CA-RC 001/CA-RC"},
				{spool.Query{Recipient: second, Sender: lab}, "002/SF-RC 001/SF-RC"},
				{spool.Query{Recipient: centre, Sender: lab}, "001/CA-RC"},
				{spool.Query{Recipient: third}, ""},
			} {
				r.check(brief(r.find(c.query, page)) == c.want, "%+v by %d: %s, want %s", c.query,
					page, brief(r.find(c.query, page)), c.want)
			}
		}
	},
	"finds a message id and a uid, for those whom it concerns": func(r *room) {
		e, _ := r.named("001", lab, centre, second)
		r.named("002", lab, centre)
		r.named("001", lab, second) // a label is no identity
		f, _ := r.named("001", other, centre)
		uid, label := e.Messages[0].UID, e.Messages[0].ID
		for _, c := range []struct {
			query spool.Query
			want  int
		}{
			{spool.Query{Sender: lab, UID: uid}, 2},
			{spool.Query{Recipient: centre, UID: uid}, 1},
			{spool.Query{Sender: other, UID: uid}, 0},
			{spool.Query{Recipient: third, UID: uid}, 0},
			{spool.Query{Sender: lab, UID: f.Messages[0].UID}, 0},
			{spool.Query{Sender: lab, Message: label}, 3},
			{spool.Query{Recipient: centre, Message: label}, 2},
			{spool.Query{Sender: other, Recipient: centre, Message: label}, 1},
			{spool.Query{Sender: lab, Message: "FL-LAB_DAT_20251008_00"}, 0},
			{spool.Query{Sender: lab, UID: "nonsense"}, 0},
			{spool.Query{Sender: lab, UID: uid, Message: "FL-LAB_DAT_20251008_002"}, 0},
		} {
			r.check(len(r.find(c.query, 2)) == c.want, "%+v: %s, want %d", c.query,
				brief(r.find(c.query, 2)), c.want)
		}
	},
	"finds by the time at which it was spooled": func(r *room) {
		start := r.clock.Now()
		for i := range 6 {
			r.named(fmt.Sprintf("00%d", i), lab, centre)
			r.clock.Advance(45 * time.Minute)
		}
		at := func(i int) time.Time { return start.Add(time.Duration(i) * 45 * time.Minute) }
		for _, c := range []struct {
			from, to time.Time
			want     string
		}{
			{at(2), at(4), "003/CA-RC 002/CA-RC"},
			{at(2).Add(time.Millisecond), at(4).Add(time.Millisecond), "004/CA-RC 003/CA-RC"},
			{at(5), time.Time{}, "005/CA-RC"},
			{time.Time{}, at(1), "000/CA-RC"},
			{at(6), time.Time{}, ""},
		} {
			for _, q := range []spool.Query{{Sender: lab}, {Recipient: centre}} {
				q.From, q.To = c.from, c.to
				r.check(brief(r.find(q, 1)) == c.want, "%+v: %s, want %s", q, brief(r.find(q, 1)),
					c.want)
			}
		}
	},
	"finds by time although the clock was set back": func(r *room) {
		start := r.clock.Now()
		r.named("001", lab, centre)
		r.clock.Advance(48 * time.Hour)
		r.named("002", lab, centre)
		r.clock.Advance(-47 * time.Hour)
		r.named("003", lab, centre)
		r.restart()
		q := spool.Query{Sender: lab, From: start, To: start.Add(2 * time.Hour)}
		r.check(brief(r.find(q, 1)) == "003/CA-RC 001/CA-RC", "found %s", brief(r.find(q, 1)))
		q = spool.Query{Sender: lab, From: start.Add(47 * time.Hour)}
		r.check(brief(r.find(q, 1)) == "002/CA-RC", "found %s", brief(r.find(q, 1)))
	},
	"tells every fact of a record": func(r *room) {
		e, p := r.drop(centre)
		want := spool.Record{
			Message: e.Messages[0].ID, UID: e.Messages[0].UID, Envelope: e.ID, Sender: lab,
			Recipient: centre, Queue: centre.Queue(), Address: e.Address.String(),
			Sent: e.Messages[0].Sent, Spooled: p.Spooled, State: "waiting", Size: e.Size,
		}
		r.tells(want)
		r.clock.Advance(time.Minute)
		want.FirstLeased = r.clock.Now()
		d := r.lease(centre, 1)[0]
		r.tells(want)
		r.clock.Advance(10 * time.Second)
		r.release(d, spool.Nack{Code: "disk-full"})
		want.Code = "disk-full"
		r.tells(want)
		d = r.lease(centre, 1)[0]
		r.clock.Advance(10 * time.Second)
		r.settle(d)
		want.Code, want.State, want.Acknowledged = "", "delivered", r.clock.Now()
		r.tells(want)
		r.restart()
		r.tells(want)
	},
	"goes through one envelope of many records by pages": func(r *room) {
		e := envelopeOf(noise(100), 5, centre, second, third)
		r.publish(e)
		r.publish(envelopeOf(noise(100), 2, third))
		all := r.find(spool.Query{Sender: lab}, 100)
		r.check(len(all) == 17, "%d records", len(all))
		for _, page := range []int{1, 2, 3, 16, 17} {
			r.check(brief(r.find(spool.Query{Sender: lab}, page)) == brief(all), "by %d: %s", page,
				brief(r.find(spool.Query{Sender: lab}, page)))
		}
		r.check(len(r.find(spool.Query{Recipient: second}, 2)) == 5,
			"a recipient sees others' records")
	},
	"needs to know whose": func(r *room) {
		for _, q := range []spool.Query{{}, {UID: id.Random128[id.UID]()},
			{Message: "FL-LAB_DAT_20251008_001"}, {From: r.clock.Now()}} {
			_, _, err := r.Find(r.ctx, q, 0, 10)
			r.want(err, spool.ErrInvalid)
		}
		_, _, err := r.Find(r.ctx, spool.Query{Sender: lab}, 0, 0)
		r.want(err, spool.ErrInvalid)
	},
}

// tells checks the only record of the lab.
func (r *room) tells(want spool.Record) {
	r.Helper()
	recs := r.find(spool.Query{Sender: lab}, 10)
	r.check(len(recs) == 1, "%d records", len(recs))
	r.check(recs[0] == want, "record is\n%+v, want\n%+v", recs[0], want)
}
