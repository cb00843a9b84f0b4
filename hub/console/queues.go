package console

import (
	"fmt"
	"strconv"
	"strings"

	"sealpost/hub"
	"sealpost/internal/id"
)

const queuePage = 100 // queues on one page

// queues lists the queues with their bindings, and previews a change of them.
func queues(v *visit) error {
	answer, err := ask[hub.QueuesAnswer](v, hub.ControlQueues, hub.Nothing{})
	if err != nil {
		return err
	}
	data := struct {
		Queues       []hub.QueueStatus
		Query        string
		Found, All   int
		Next         int
		Names        []string
		Waiting, Age plot
		Preview      preview
	}{Query: v.field("q"), All: len(answer.Queues)}
	from, _ := strconv.Atoi(v.field("from"))
	for _, q := range answer.Queues {
		data.Names = append(data.Names, q.Name)
		if !strings.Contains(q.Name, strings.ToLower(data.Query)) {
			continue
		}
		if data.Found++; data.Found > from && len(data.Queues) < queuePage {
			data.Queues = append(data.Queues, q)
		}
	}
	if last := max(0, from) + len(data.Queues); last < data.Found {
		data.Next = last
	}
	past, err := ask[hub.HistoryAnswer](v, hub.ControlHistory, hub.HistoryRequest{Span: "hour"})
	if err != nil {
		return err
	}
	data.Waiting = waitingPlot(past, v.hub.Now())
	data.Age = agePlot(past, v.hub.Now())
	if data.Preview, err = v.preview(); err != nil {
		return err
	}
	return v.page("queues", "Queues", data)
}

// preview is the question for the recipients of a routing key, and its answer.
type preview struct {
	Key, Sender, Queue, Bind, Unbind string
	Asked                            bool
	hub.PreviewAnswer
	Failed string
}

// preview answers the question in the address of a page.
func (v *visit) preview() (p preview, err error) {
	p = preview{Key: v.field("key"), Sender: v.field("sender"), Queue: v.field("queue"),
		Bind: v.field("bind"), Unbind: v.field("unbind")}
	if p.Key == "" {
		return p, nil
	}
	p.PreviewAnswer, err = ask[hub.PreviewAnswer](v, hub.ControlPreview, hub.PreviewRequest{
		Key: p.Key, Sender: id.Site(p.Sender), Queue: p.Queue, Bind: v.patterns("bind"),
		Unbind: v.patterns("unbind")})
	if err != nil { // a typing error is shown beside the form
		p.Failed = sentence(err.Error())
	}
	p.Asked = err == nil
	return p, nil
}

// bind and unbind change the bindings of a queue.
func bind(v *visit) error   { return v.rebind(hub.ControlBind, "is bound") }
func unbind(v *visit) error { return v.rebind(hub.ControlUnbind, "is not bound any more") }

func (v *visit) rebind(path, done string) error {
	keys := v.patterns("keys")
	return act(v, path, hub.BindRequest{Queue: v.field("queue"), Keys: keys},
		func(out hub.Bound) string {
			if !out.Changed {
				return "Nothing has changed: it was so before."
			}
			return fmt.Sprintf("%s %s to %s.", strings.Join(keys, ", "), done, v.field("queue"))
		})
}
