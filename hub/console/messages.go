package console

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"sealpost/hub"
	"sealpost/internal/id"
	"sealpost/internal/reason"
	"sealpost/spool"
)

const (
	messagePage = 50
	// longestSearch bounds a search in the records of all sites
	longestSearch = 100 * time.Millisecond
	clockForm     = "2006-01-02T15:04" // of a field for date and time
)

// search is the form of the messages, and its result.
type search struct {
	ID, From, To, Address, State, Since, Until string

	States   []string
	Messages []spool.Record
	Older    string // the address of the next page
	Partly   bool   // not all sites were searched
	Tied     bool   // too many records of one moment
}

// messages searches the hub's records.
func messages(v *visit) error {
	s := search{ID: v.field("id"), From: strings.ToUpper(v.field("from")),
		To: strings.ToUpper(v.field("to")), Address: v.field("address"), State: v.field("state"),
		Since: v.field("since"), Until: v.field("until"),
		States: []string{"waiting", "delivered", "refused", "dead"}}
	in := hub.MessagesRequest{Sender: id.Site(s.From), Recipient: id.Site(s.To),
		Message: id.Message(s.ID), State: s.State, Address: s.Address, Max: messagePage}
	var err error
	if in.From, err = clockField(s.Since); err != nil {
		return misread("since", err)
	}
	if in.To, err = clockField(s.Until); err != nil {
		return misread("until", err)
	}
	if s.ID != "" {
		_, sender, err := id.ParseMessage(s.ID)
		if err != nil {
			return err
		}
		in.Sender = sender
	}
	if in.Sender == "" && in.Recipient == "" {
		err = v.searchAll(&s, in)
	} else {
		err = v.searchSite(&s, in)
	}
	if err != nil {
		return err
	}
	return v.page("messages", "Messages", s)
}

// clockField returns the time in a field; zero: it is empty.
func clockField(text string) (t time.Time, err error) {
	for _, form := range []string{clockForm, "2006-01-02", time.RFC3339Nano} {
		if text == "" {
			return t, nil
		}
		if t, err = time.ParseInLocation(form, text, time.Local); err == nil {
			return t.UTC(), nil
		}
	}
	return t, err
}

// address returns the address of this search with a further field.
func (s search) address(name, value string) string {
	list := url.Values{}
	for key, text := range map[string]string{"id": s.ID, "from": s.From, "to": s.To,
		"address": s.Address, "state": s.State, "since": s.Since, "until": s.Until, name: value} {
		if text != "" {
			list.Set(key, text)
		}
	}
	return "messages?" + list.Encode()
}

// searchSite reads a page of the records of a sender, a recipient, or both.
func (v *visit) searchSite(s *search, in hub.MessagesRequest) error {
	if text := v.field("after"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return misread("after", err)
		}
		in.After = spool.Cursor(n)
	}
	answer, err := ask[hub.MessagesAnswer](v, hub.ControlMessages, in)
	if err != nil {
		return err
	}
	s.Messages = answer.Messages
	if answer.Next != 0 {
		s.Older = s.address("after", strconv.FormatUint(uint64(answer.Next), 10))
	}
	return nil
}

// searchAll reads the newest records of all senders. The next page begins at the time of the last
// record of this one.
func (v *visit) searchAll(s *search, in hub.MessagesRequest) error {
	sites, err := ask[hub.SitesAnswer](v, hub.ControlSites, hub.Nothing{})
	if err != nil {
		return err
	}
	began, more := time.Now(), false
	for _, site := range sites.Sites {
		if time.Since(began) > longestSearch {
			s.Partly = true
			break
		}
		in.Sender = site.Site
		answer, err := ask[hub.MessagesAnswer](v, hub.ControlMessages, in)
		if err != nil {
			return err
		}
		s.Messages = append(s.Messages, answer.Messages...)
		more = more || answer.Next != 0
	}
	slices.SortStableFunc(s.Messages, func(a, b spool.Record) int {
		return b.Spooled.Compare(a.Spooled)
	})
	if more = more || len(s.Messages) > messagePage; !more {
		return nil
	}
	s.Messages = s.Messages[:min(len(s.Messages), messagePage)]
	if len(s.Messages) == 0 {
		return nil
	}
	last := s.Messages[len(s.Messages)-1].Spooled
	if s.Tied = s.Messages[0].Spooled.Equal(last); !s.Tied {
		s.Older = s.address("until", last.Add(time.Millisecond).Format(time.RFC3339Nano))
	}
	return nil
}

// life is one message with its deliveries, each as a timeline.
type life struct {
	ID         id.Message
	Sender     id.Site
	Deliveries []delivery
	More       bool
	CanRequeue bool
	CanHold    bool
	CanRelease bool
}

// delivery is a message on its way to one recipient.
type delivery struct {
	hub.MessageDelivery
	Steps []step
}

// step is a moment in the life of a delivery.
type step struct {
	Level, Text string
	At          time.Time
}

// message shows the life of one message.
func message(v *visit) error {
	answer, err := ask[hub.MessageAnswer](v, hub.ControlMessage,
		hub.MessageRequest{Message: id.Message(v.field("id"))})
	if err != nil {
		return err
	}
	l := life{ID: answer.Deliveries[0].Message, Sender: answer.Deliveries[0].Sender,
		More: answer.More}
	for _, d := range answer.Deliveries {
		l.Deliveries = append(l.Deliveries, delivery{d, stepsOf(d)})
		isHeld := d.State == "waiting" && d.Code == spool.CodeOnHold
		l.CanRequeue = l.CanRequeue || d.State == "dead"
		l.CanRelease = l.CanRelease || isHeld
		l.CanHold = l.CanHold || d.State == "waiting" && !isHeld
	}
	return v.page("message", string(l.ID), l)
}

// stepsOf returns the timeline of a delivery.
func stepsOf(d hub.MessageDelivery) []step {
	steps := []step{{"", "Sealed by " + string(d.Sender), d.Sent},
		{"", "Spooled: durable at the hub", d.Spooled}}
	if !d.FirstLeased.IsZero() {
		steps = append(steps, step{"", "First fetched by " + string(d.Recipient), d.FirstLeased})
	}
	switch {
	case d.State == "waiting" && d.Code == spool.CodeOnHold:
		text := "On hold"
		if d.Because != "" {
			text += ": " + d.Because
		}
		return append(steps, step{"warn", text, time.Time{}})
	case d.State == "waiting" && d.Code != "":
		return append(steps, step{"warn", string(d.Recipient) + " has tried, and handed it back (" +
			d.Code + "): it is offered again", time.Time{}})
	case d.State == "waiting" && d.FirstLeased.IsZero():
		return append(steps, step{"", "Waits for " + string(d.Recipient), time.Time{}})
	case d.State == "waiting":
		return append(steps, step{"", string(d.Recipient) + " fetches it", time.Time{}})
	case d.State == spool.OutcomeDelivered:
		return append(steps, step{"good", "Acknowledged: safe in the inbox of " +
			string(d.Recipient), d.Acknowledged})
	case d.State == spool.OutcomeRefused:
		return append(steps, step{"bad", "Refused by " + string(d.Recipient) + " (" + d.Code +
			"): final", d.Acknowledged})
	}
	return append(steps, step{"bad", "Ended undelivered (" + d.Code + ")", d.Acknowledged})
}

// receipt answers with the file of a receipt.
func receipt(v *visit) error {
	answer, err := ask[hub.MessageAnswer](v, hub.ControlMessage,
		hub.MessageRequest{Message: id.Message(v.field("id"))})
	if err != nil {
		return err
	}
	for _, d := range answer.Deliveries {
		if d.Receipt != "" && string(d.Recipient) == v.field("to") &&
			string(d.Envelope) == v.field("envelope") {
			h := v.w.Header()
			h.Set("Content-Type", "application/jose")
			h.Set("Content-Disposition", fmt.Sprintf(`attachment; filename="%s-%s.jws"`,
				d.Message, d.Recipient))
			v.w.Write([]byte(d.Receipt + "\n")) // an error means that the browser left
			return nil
		}
	}
	return reason.Err("letter-no-message", "message", v.field("id"))
}

// letter returns the deliveries that a form names.
func (v *visit) letter() hub.LetterRequest {
	return hub.LetterRequest{Message: id.Message(v.field("id")), Site: id.Site(v.field("to"))}
}

// letters makes a call that changes deliveries, and tells each failure.
func (v *visit) letters(path string, in any, done string) error {
	out, err := ask[hub.LettersAnswer](v, path, in)
	if err != nil {
		return err
	}
	var texts []string
	isBad := false
	for _, l := range out.Letters {
		if l.Failed.IsZero() {
			texts = append(texts, fmt.Sprintf("For %s %s.", l.Recipient, done))
		} else {
			texts, isBad = append(texts, sentence(l.Failed.String())), true
		}
	}
	if len(texts) == 0 {
		texts = []string{"Nothing has changed: it was so before."}
	}
	v.session.tell(notice{Text: strings.Join(texts, " "), Bad: isBad})
	v.back()
	return nil
}

func holdOne(v *visit) error {
	return v.letters(hub.ControlHoldOne, hub.HoldOneRequest{LetterRequest: v.letter(),
		Because: v.field("because")}, "it is on hold")
}

func releaseOne(v *visit) error {
	return v.letters(hub.ControlUnholdOne, v.letter(), "it is not on hold any more")
}

func requeue(v *visit) error {
	return v.letters(hub.ControlRequeue, v.letter(), "it waits again, and is delivered next")
}

func discard(v *visit) error {
	if err := v.confirmed(v.field("id")); err != nil {
		return err
	}
	return v.letters(hub.ControlDiscard, v.letter(), "the hub keeps nothing more of it")
}
