package console

import (
	"bytes"
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"time"

	"sealpost/config"
	"sealpost/hub"
)

const (
	longWait   = 24 * time.Hour      // as for the doctor
	certWarn   = 14 * 24 * time.Hour // before the end of the hub's certificate
	mostPairs  = 50                  // in the table
	mostAlarms = 12                  // in the glance
	liveEvery  = 3 * time.Second
)

// alarm is a fact that an admin should know of. Its level is warn or bad.
type alarm struct {
	Level, Text, Link string
}

// network is all that the page of the flow shows.
type network struct {
	Status   hub.Status
	Sites    hub.SitesAnswer
	Alarms   []alarm
	More     int    // alarms that are not shown
	Level    string // good, warn or bad
	Pairs    []hub.FlowPair
	AllPairs int
	Messages int64 // an hour, in all
	Bytes    int64
	Online   int
	Picture  picture
}

// look asks the hub for the present state of the network.
func look(v *visit) (n network, err error) {
	if n.Status, err = ask[hub.Status](v, hub.ControlStatus, hub.Nothing{}); err != nil {
		return n, err
	}
	if n.Sites, err = ask[hub.SitesAnswer](v, hub.ControlSites, hub.Nothing{}); err != nil {
		return n, err
	}
	traffic, err := ask[hub.FlowAnswer](v, hub.ControlFlow, hub.Nothing{})
	if err != nil {
		return n, err
	}
	dead, err := ask[hub.DeadAnswer](v, hub.ControlDead, hub.DeadRequest{Max: 1})
	if err != nil {
		return n, err
	}
	now := v.hub.Now()
	n.Alarms = append(hubAlarms(n.Status, now), siteAlarms(n.Sites, now)...)
	if len(dead.Letters) > 0 {
		n.Alarms = append(n.Alarms, alarm{"warn", "There are dead letters: deliveries that ended " +
			"undelivered, and that can still be delivered.", "trouble"})
	}
	n.Level = "good"
	for _, a := range n.Alarms {
		if a.Level == "bad" || n.Level == "good" {
			n.Level = a.Level
		}
	}
	slices.SortStableFunc(n.Alarms, func(a, b alarm) int { return cmp.Compare(a.Level, b.Level) })
	n.More = max(0, len(n.Alarms)-mostAlarms)
	n.Alarms = n.Alarms[:len(n.Alarms)-n.More]
	for _, p := range traffic.Pairs {
		n.Messages += p.Messages
		n.Bytes += p.Bytes
	}
	for _, s := range n.Sites.Sites {
		if s.State == hub.SiteJoined && s.Connections > 0 {
			n.Online++
		}
	}
	n.AllPairs = len(traffic.Pairs)
	n.Pairs = traffic.Pairs[:min(mostPairs, n.AllPairs)]
	n.Picture = draw(n.Status.Hub, n.Sites.Sites, traffic.Pairs)
	return n, nil
}

// hubAlarms lists the alarms of the hub itself.
func hubAlarms(s hub.Status, now time.Time) (list []alarm) {
	add := func(level, link, text string) { list = append(list, alarm{level, text, link}) }
	if s.Spool.Lost != nil {
		add("bad", "trouble", sentence(hub.LossReason(*s.Spool.Lost).String()))
	}
	if s.Spool.DiskFree < s.Spool.Reserve {
		add("bad", "health", sentence(hub.BelowReserve(s.Spool.DiskFree,
			s.Spool.Reserve).String()))
	}
	if left := s.CertExpires.Sub(now); left < certWarn {
		add("bad", "health", fmt.Sprintf("The hub's certificate ends %s. It renews itself; see "+
			"its log.", ago(-left)))
	}
	if !s.Paused.IsZero() {
		add("warn", "health", fmt.Sprintf("The clock has leapt, or the hub was off: nothing ends "+
			"for its age before %s.", s.Paused.Local().Format(time.DateTime)))
	}
	if s.Root != nil {
		add("warn", "flow", sentence(s.Root.Here().String()))
	}
	if n := len(s.Roster.Missing); s.Roster.Number > 0 && n > 0 {
		add("warn", "sites", counted(n, "joined site is", "joined sites are")+
			" not on the roster.")
	}
	if n := len(s.Roster.Stolen); n > 0 {
		add("bad", "sites", counted(n, "joined site has", "joined sites have")+
			" a key that the roster distrusts.")
	}
	return list
}

// siteAlarms lists the alarms of the sites.
func siteAlarms(answer hub.SitesAnswer, now time.Time) (list []alarm) {
	for _, s := range answer.Sites {
		if s.State == hub.SiteJoined {
			list = append(list, alarmsOf(s, now)...)
		}
	}
	if n := len(answer.Knocking); n > 0 {
		list = append(list, alarm{"warn", counted(n, "caller is", "callers are") +
			" not admitted.", "sites"})
	}
	return list
}

// alarmsOf lists the alarms of a site that has joined.
func alarmsOf(s hub.SiteStatus, now time.Time) (list []alarm) {
	add := func(level, format string, args ...any) {
		list = append(list, alarm{level, string(s.Site) + " " + fmt.Sprintf(format, args...),
			"site?name=" + string(s.Site)})
	}
	wait := now.Sub(s.Oldest)
	switch {
	case s.Hold != nil:
		add("warn", "is on hold.")
	case isAway(s) && s.Waiting > 0:
		add("warn", "is away: %s, the oldest for %s.",
			counted(s.Waiting, "delivery waits for it", "deliveries wait for it"), span(wait))
	case isAway(s) && !s.LastSeen.IsZero() && now.Sub(s.LastSeen) > longWait:
		add("warn", "was last seen %s.", ago(now.Sub(s.LastSeen)))
	case s.Waiting > 0 && wait > longWait:
		add("warn", "is connected, and a delivery waits for it for %s.", span(wait))
	}
	if len(s.Copies) > 1 {
		add("bad", "runs twice at the same time: stop one of its agents.")
	}
	if s.RunsAs != "" {
		add("warn", "runs in another role than the hub has for it.")
	}
	if !s.OldestExpires.IsZero() {
		add("warn", "has a delivery that ends undelivered %s.", ago(now.Sub(s.OldestExpires)))
	}
	if isFull(s.Usage) {
		add("warn", "has reached a limit: nothing new is taken.")
	}
	return list
}

// span returns a length of time.
func span(d time.Duration) string {
	text := ago(max(d, time.Second))
	return text[:len(text)-len(" ago")]
}

// flow shows the whole network.
func flow(v *visit) error {
	n, err := look(v)
	if err != nil {
		return err
	}
	return v.page("flow", "Flow", n)
}

// live streams the changing part of a page, until the browser or the session leaves.
func live(v *visit) error {
	select {
	case v.streams <- struct{}{}:
		defer func() { <-v.streams }()
	default:
		http.Error(v.w, "too many pages are open", http.StatusServiceUnavailable)
		return nil
	}
	name, data := "flow", func() (any, error) { n, err := look(v); return n, err }
	if v.field("page") == "health" {
		name, data = "health", func() (any, error) { return measure(v) }
	}
	control := http.NewResponseController(v.w)
	control.SetReadDeadline(time.Time{})
	v.w.Header().Set("Content-Type", "text/event-stream")
	tick := time.NewTicker(liveEvery)
	defer tick.Stop()
	var last []byte
	for {
		found, err := data()
		if err != nil {
			return nil // the browser asks again
		}
		part, err := render(name, "live", frame{Data: found})
		if err != nil {
			return nil
		}
		control.SetWriteDeadline(time.Now().Add(answerTime))
		if _, err := v.w.Write(event(part, last)); err != nil || control.Flush() != nil {
			return nil
		}
		last = part
		select {
		case <-v.r.Context().Done():
			return nil
		case <-tick.C:
		}
		if !v.sessions.lasts(v.session) {
			fmt.Fprint(v.w, "event: end\ndata: \n\n")
			return nil
		}
	}
}

// event returns a part of a page as an event; a comment, if it has not changed.
func event(part, last []byte) []byte {
	if bytes.Equal(part, last) {
		return []byte(": as before\n\n")
	}
	var out bytes.Buffer
	for line := range bytes.Lines(part) {
		out.WriteString("data: ")
		out.Write(bytes.TrimRight(line, "\r\n"))
		out.WriteByte('\n')
	}
	out.WriteByte('\n')
	return out.Bytes()
}

// Measures of the picture.
const (
	mostBoxes  = 14 // on each side
	pictureTop = 34
	boxStep    = 42
	boxHeight  = 32
	boxWidth   = 230
	leftEdge   = 10
	rightEdge  = 1000 - 10 - boxWidth
	hubX       = 500
)

// picture is a drawing of the flow: labs at the left, the hub, centres at the right.
type picture struct {
	Height, Middle int
	Hub            string
	Boxes          []box
	Curves         []curve
	LessLeft       int // sites that are not drawn
	LessRight      int
}

// box is a site in the picture.
type box struct {
	X, Y         int
	Name, Level  string
	Fact, Detail string
}

// curve is the traffic of a site in the picture.
type curve struct {
	Path  string
	Width float64
	Still bool
}

// draw returns the picture of a network. Sites with alarms come first, then the busiest.
func draw(name string, sites []hub.SiteStatus, pairs []hub.FlowPair) picture {
	out, in := map[string]int64{}, map[string]int64{}
	for _, p := range pairs {
		out[string(p.Sender)] += p.Messages
		in[string(p.Recipient)] += p.Messages
	}
	p := picture{Hub: name}
	left := p.side(sites, out, config.RoleSend)
	right := p.side(sites, in, config.RoleReceive)
	p.LessLeft, p.LessRight = len(left)-min(len(left), mostBoxes), len(right)-min(len(right),
		mostBoxes)
	left, right = left[:min(len(left), mostBoxes)], right[:min(len(right), mostBoxes)]
	p.Height = pictureTop + max(len(left), len(right), 2)*boxStep + 10
	p.Middle = (pictureTop + p.Height) / 2
	p.column(left, out, leftEdge, func(x, y int) string {
		return fmt.Sprintf("M%d,%d C%d,%d %d,%d %d,%d", x+boxWidth, y, x+boxWidth+90, y, hubX-160,
			p.Middle, hubX-70, p.Middle)
	})
	p.column(right, in, rightEdge, func(x, y int) string {
		return fmt.Sprintf("M%d,%d C%d,%d %d,%d %d,%d", hubX+70, p.Middle, hubX+160, p.Middle,
			x-90, y, x, y)
	})
	return p
}

// side returns the joined sites of a role, in the order of the picture.
func (p *picture) side(sites []hub.SiteStatus, rate map[string]int64,
	role string) (list []hub.SiteStatus) {
	for _, s := range sites {
		if s.State == hub.SiteJoined && (s.Role == role || s.Role == config.RoleBoth) {
			list = append(list, s)
		}
	}
	weight := map[string]int{"bad": 0, "warn": 1, "good": 2}
	slices.SortStableFunc(list, func(a, b hub.SiteStatus) int {
		return cmp.Or(weight[levelOf(a)]-weight[levelOf(b)],
			cmp.Compare(rate[string(b.Site)], rate[string(a.Site)]))
	})
	return list
}

// levelOf returns the level of a site: bad, warn or good.
func levelOf(s hub.SiteStatus) string {
	switch {
	case len(s.Copies) > 1:
		return "bad"
	case isAway(s), s.Hold != nil, s.RunsAs != "", isFull(s.Usage):
		return "warn"
	}
	return "good"
}

// column draws the sites of one side.
func (p *picture) column(sites []hub.SiteStatus, rate map[string]int64, x int,
	path func(x, y int) string) {
	for i, s := range sites {
		y := pictureTop + i*boxStep + (p.Height-pictureTop-10-len(sites)*boxStep)/2
		perHour := rate[string(s.Site)]
		b := box{X: x, Y: y, Name: string(s.Site), Level: levelOf(s),
			Fact: grouped(fmt.Sprint(perHour)) + "/h"}
		switch {
		case s.Hold != nil:
			b.Detail = "on hold"
		case isAway(s):
			b.Detail = "away"
		}
		if x == rightEdge && s.Waiting > 0 {
			b.Fact = grouped(fmt.Sprint(s.Waiting)) + " wait"
		}
		p.Boxes = append(p.Boxes, b)
		p.Curves = append(p.Curves, curve{path(x, y+boxHeight/2),
			min(1.5+float64(perHour)/200, 9), perHour == 0})
	}
}

// Backlog lists the sites with waiting deliveries, the longest first.
func (n network) Backlog() (list []hub.SiteStatus) {
	for _, s := range n.Sites.Sites {
		if s.Waiting > 0 {
			list = append(list, s)
		}
	}
	slices.SortFunc(list, func(a, b hub.SiteStatus) int { return a.Oldest.Compare(b.Oldest) })
	return list[:min(len(list), mostPairs)]
}

// HubY and HubText are the places of the hub's box and name.
func (p picture) HubY() int    { return p.Middle - 26 }
func (p picture) HubText() int { return p.Middle + 5 }

// DotX, TextY, NameX, FactX and BaseY are the places in a site's box.
func (b box) DotX() int  { return b.X + 16 }
func (b box) TextY() int { return b.Y + boxHeight/2 }
func (b box) NameX() int { return b.X + 30 }
func (b box) FactX() int { return b.X + boxWidth - 12 }
func (b box) BaseY() int { return b.Y + boxHeight/2 + 5 }
