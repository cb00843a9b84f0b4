package hub

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"sealpost/hub/api"
	"sealpost/spool"
	"sealpost/statement"
)

// metrics holds the hub's Prometheus metrics. Their labels are queues and codes, never messages,
// envelopes or files.
type metrics struct {
	registry  *prometheus.Registry
	requests  *prometheus.CounterVec   // by endpoint and code
	seconds   *prometheus.HistogramVec // by endpoint; waits are left out
	bytes     *prometheus.CounterVec   // of ciphertext, by direction
	envelopes prometheus.Counter       // published, repetitions included
	messages  prometheus.Counter       // in them
	settled   *prometheus.CounterVec   // messages, by outcome and code
	released  *prometheus.CounterVec   // deliveries, by code
	logins    *prometheus.CounterVec   // refused callers and issued certificates, by event
	tally     tally                    // for the history
}

func newMetrics() *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "sealpost_" + name,
			Help: help}, labels)
	}
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: counter("requests_total", "Requests answered, by endpoint and by the code of "+
			"the problem (empty: success).", "endpoint", "code"),
		seconds: prometheus.NewHistogramVec(
			prometheus.HistogramOpts{Name: "sealpost_request_seconds",
				Help:    "Time to answer a request that does not wait.",
				Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10, 60}},
			[]string{"endpoint"}),
		bytes: counter("ciphertext_bytes_total", "Bytes of ciphertext taken in and handed out.",
			"direction"),
		envelopes: prometheus.NewCounter(
			prometheus.CounterOpts{Name: "sealpost_published_envelopes_total",
				Help: "Envelopes published, repetitions included."}),
		messages: prometheus.NewCounter(
			prometheus.CounterOpts{Name: "sealpost_published_messages_total",
				Help: "Messages in published envelopes."}),
		settled: counter("settled_messages_total", "Final outcomes of messages, one per "+
			"recipient.", "outcome", "code"),
		released: counter("released_deliveries_total", "Deliveries handed back for later.",
			"code"),
		logins: counter("identities_total", "Certificates issued, invitations refused, "+
			"callers not admitted.", "event"),
	}
	m.registry.MustRegister(m.requests, m.seconds, m.bytes, m.envelopes, m.messages, m.settled,
		m.released, m.logins,
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.begin()
	return m
}

// begin exports the counters of rare failures at zero: Prometheus sees no increase in a counter
// that begins with one.
func (m *metrics) begin() {
	for _, e := range endpoints() {
		m.requests.WithLabelValues(e.name(), string(api.CodeInternal))
		m.requests.WithLabelValues(e.name(), string(api.CodeUncertain))
	}
	for _, c := range statement.Codes {
		m.settled.WithLabelValues(statement.Refused, c.Code)
	}
	m.logins.WithLabelValues(eventRefused)
}

// Events of the counter logins.
const (
	eventIssued      = "certificate-issued"
	eventRefused     = "invitation-refused"
	eventNotAdmitted = "not-admitted"
)

func (m *metrics) answered(e endpoint, code api.Code, took time.Duration) {
	name := e.name()
	m.requests.WithLabelValues(name, string(code)).Inc()
	if !e.canWait() {
		m.seconds.WithLabelValues(name).Observe(took.Seconds())
		m.tally.requests.Add(1)
		m.tally.busy.Add(int64(took))
	}
}

func (m *metrics) published(messages int, size int64) {
	m.envelopes.Inc()
	m.messages.Add(float64(messages))
	m.tally.messages.Add(int64(messages))
	if size <= spool.SmallSize { // the parts of larger ones were counted on arrival
		m.took(size)
	}
}

func (m *metrics) took(bytes int64) {
	m.bytes.WithLabelValues("in").Add(float64(bytes))
	m.tally.in.Add(bytes)
}

func (m *metrics) gave(bytes int64) {
	m.bytes.WithLabelValues("out").Add(float64(bytes))
	m.tally.out.Add(bytes)
}

// figures are the metrics that are read at each scrape.
type figures struct {
	hub *Hub
}

// figureTime bounds how long one reading may take.
const figureTime = 10 * time.Second

var (
	descWaiting = prometheus.NewDesc("sealpost_queue_waiting",
		"Deliveries that are not final, leased ones included.", []string{"queue"}, nil)
	descLeased = prometheus.NewDesc("sealpost_queue_leased", "Deliveries leased now.",
		[]string{"queue"}, nil)
	descReleased = prometheus.NewDesc("sealpost_queue_released",
		"Deliveries handed back that are not due yet.", []string{"queue"}, nil)
	descSettled = prometheus.NewDesc("sealpost_queue_settled_total", "Deliveries settled.",
		[]string{"queue"}, nil)
	descDead = prometheus.NewDesc("sealpost_queue_dead_total", "Deliveries that are dead.",
		[]string{"queue"}, nil)
	descOldest = prometheus.NewDesc("sealpost_queue_oldest_seconds",
		"Age of the oldest delivery that is not final; 0: there is none.", []string{"queue"}, nil)
	descHeld = prometheus.NewDesc("sealpost_spool_content_bytes",
		"Bytes of ciphertext held, staged parts included.", nil, nil)
	descCount = prometheus.NewDesc("sealpost_spool_envelopes",
		"Envelopes whose metadata are held.", nil, nil)
	descFree = prometheus.NewDesc("sealpost_disk_free_bytes", "Free bytes on the spool's disk.",
		nil, nil)
	descReserve = prometheus.NewDesc("sealpost_disk_reserve_bytes",
		"Free bytes below which nothing more is taken in.", nil, nil)
	descExpires = prometheus.NewDesc("sealpost_certificate_expires_timestamp_seconds",
		"When the hub's certificates end.", []string{"certificate"}, nil)
	descSites = prometheus.NewDesc("sealpost_sites", "Sites in the directory, by state.",
		[]string{"state"}, nil)
	descLinks   = prometheus.NewDesc("sealpost_connections", "Open connections.", nil, nil)
	descStarted = prometheus.NewDesc("sealpost_start_timestamp_seconds", "When the hub started.",
		[]string{"version"}, nil)
)

// Describe implements prometheus.Collector.
func (f figures) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(f, ch) }

// Collect implements prometheus.Collector. It leaves out unreadable figures: /readyz has the
// reason.
func (f figures) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), figureTime)
	defer cancel()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	h := f.hub
	gauge(descLinks, float64(h.links.count("")))
	gauge(descStarted, float64(h.started.Unix()), h.version)
	gauge(descExpires, float64(h.identity.NotAfter().Unix()), "hub")
	gauge(descExpires, float64(h.authority.Issuing().NotAfter.Unix()), "issuing")
	states := map[string]int{SiteInvited: 0, SiteJoined: 0, SiteRemoved: 0}
	for _, s := range h.dir.view().sites {
		states[s.state()]++
	}
	for state, n := range states {
		gauge(descSites, float64(n), state)
	}
	if info, err := h.spool.Info(ctx); err == nil {
		gauge(descHeld, float64(info.Content))
		gauge(descCount, float64(info.Envelopes))
		gauge(descFree, float64(info.DiskFree))
		gauge(descReserve, float64(info.Reserve))
	}
	f.collectQueues(ctx, ch, gauge)
}

func (f figures) collectQueues(ctx context.Context, ch chan<- prometheus.Metric,
	gauge func(*prometheus.Desc, float64, ...string)) {
	queues, err := f.hub.spool.Queues(ctx)
	if err != nil {
		return
	}
	for _, q := range queues {
		gauge(descWaiting, float64(q.Waiting), q.Name)
		gauge(descLeased, float64(q.Leased), q.Name)
		gauge(descReleased, float64(q.Released), q.Name)
		ch <- prometheus.MustNewConstMetric(descSettled, prometheus.CounterValue,
			float64(q.Settled), q.Name)
		ch <- prometheus.MustNewConstMetric(descDead, prometheus.CounterValue, float64(q.Dead),
			q.Name)
		age := 0.0
		if !q.Oldest.IsZero() {
			age = f.hub.now().Sub(q.Oldest).Seconds()
		}
		gauge(descOldest, age, q.Name)
	}
}
