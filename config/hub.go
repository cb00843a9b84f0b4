package config

import (
	"cmp"
	"fmt"
	"path/filepath"

	"sealpost/internal/id"
)

// Hub is hub.toml, the configuration of the hub. `sealpost hub init` writes it. Relative paths are
// relative to the folder of the file.
type Hub struct {
	// The name of this hub, such as "DC-HQ". Required.
	Name string `toml:"name"`
	// The address on which the hub listens for agents, "host:port"; without a host on every
	// address. Default ":7443".
	Listen string `toml:"listen"`
	// The address of the hub's metrics (Prometheus) and health, "host:port". There is no
	// authentication: choose an address that only the monitoring reaches, such as "127.0.0.1:7444".
	// Empty: none. Default "".
	Metrics string `toml:"metrics"`
	// The host names and addresses under which agents reach this hub, without a port. The hub's
	// certificate has them, and invitations have them with the port of listen. Required.
	Hosts []string `toml:"hosts"`
	// The folder of keys and spool. Default "state".
	State string `toml:"state"`
	// The network's encryption suite, "hybrid" or "x25519". It is fixed when the hub is made.
	// Default "hybrid".
	Suite string `toml:"suite"`
	// A file with the passphrase of the issuing authority's key, if `sealpost certs encrypt` has
	// encrypted it. Only the hub's account may read the file. Empty: the credential
	// sealpost-issuing of the service, or else the hub asks in its terminal. Default "".
	PassphraseFile string `toml:"passphrase_file"`
	// Whether the sites that this hub invites trust only sites on the roster: "required" or
	// "optional". Invitations have it, and no later one takes it back. Default "optional".
	Roster string `toml:"roster"`
	// How much is logged: "debug", "info", "warn" or "error". Default "info".
	LogLevel string `toml:"log_level"`
	// The form of the log on standard error: "text", or "json" with one object on each line.
	// --log-format of the run command outranks it. Default "text".
	LogFormat string `toml:"log_format"`
	// The time for which the audit chain keeps its blocks. The hash of those from before stays, and
	// the chain goes on. At least "24h". Default "9600h", 400 days.
	KeepAudit Duration `toml:"keep_audit"`
	// The time for which the hub keeps the records, receipts and events of envelopes that are final
	// at every recipient. Those that the sender has not read stay longer. At least "24h"; "0s":
	// for ever. Default "17520h", 730 days.
	KeepMetadata Duration `toml:"keep_metadata"`
	// The durable store.
	Spool Spool `toml:"spool"`
	// Limits of concurrent work.
	Limits Limits `toml:"limits"`
	// Limits of the envelopes and uploads at the hub. Above one the hub takes nothing new from that
	// site, for that queue, or at all; senders keep their files and retry. 0 chooses a limit by the
	// size of the disk. `sealpost hub quota` shows the limits in use, and sets those of a site.
	Quota Quota `toml:"quota"`
	// The end of deliveries.
	Deliveries Deliveries `toml:"deliveries"`
	// The pages for admins in a browser: see docs/console.md.
	Console Console `toml:"console"`
	// Queues and their bindings for an empty hub. After its first start the hub ignores this table:
	// the bindings are in the spool, and `sealpost hub bind` changes them.
	Queue []Queue `toml:"queue"`
}

// Spool is the table [spool] of hub.toml.
type Spool struct {
	// The free space below which the hub accepts no envelopes; senders keep their files and retry.
	// Default "5GiB"; hub init writes less on a small disk.
	Reserve Size `toml:"reserve"`
	// The free space below which the hub also settles no deliveries. Less than reserve. Default
	// "1GiB".
	Floor Size `toml:"floor"`
	// The size of a file that the hub deletes if the disk is too full to start. Default "64MiB".
	Ballast Size `toml:"ballast"`
}

// Limits is the table [limits] of hub.toml.
type Limits struct {
	// The memory for request bodies; above it agents must retry later. Default "64MiB".
	BodiesInFlight Size `toml:"bodies_in_flight"`
	// The soft memory limit of the whole hub, bodies included: near it the hub spends more
	// processor time to free memory. At least bodies_in_flight and 32MiB. The environment variable
	// GOMEMLIMIT outranks it. Default "96MiB".
	Memory Size `toml:"memory"`
}

// Deliveries is the table [deliveries] of hub.toml.
type Deliveries struct {
	// The time for which the hub keeps the content of a delivery that has ended undelivered: a dead
	// letter. Until then `sealpost hub requeue` delivers it after all. "0s" keeps none. Default
	// "720h", 30 days.
	DeadKeep Duration `toml:"dead_keep"`
	// The time after which a delivery that still waits ends undelivered, with the code "expired".
	// Sender and admin are told in the last quarter of it. "0s": never. Default "8760h", 365 days.
	ExpiresAfter Duration `toml:"expires_after"`
	// The failed attempts of a recipient after which a delivery ends undelivered, with the code
	// "max-attempts". A full disk at the recipient fails attempts, too. 0: any number. Default 0.
	MaxAttempts int `toml:"max_attempts"`
}

// Console is the table [console] of hub.toml.
type Console struct {
	// The address of the console, "host:port". The host is a loopback address, and port 0 is a free
	// port. It is open after the first `sealpost hub console` since the hub's start, which prints
	// a link. Default "127.0.0.1:0".
	Listen string `toml:"listen"`
}

// Quota is the table [quota] of hub.toml. An envelope waits until its last recipient has answered.
// Its ciphertext counts once for its sender, and once in each queue.
type Quota struct {
	// The bytes that wait or are reserved for uploads, in all. Default: the disk without the
	// reserve.
	HubBytes Size `toml:"hub_bytes"`
	// The open uploads in all. Default 512.
	HubUploads int `toml:"hub_uploads"`
	// The envelopes that wait, in all. Default: one for each 2 KiB of the disk, at least 100000.
	HubEnvelopes int `toml:"hub_envelopes"`
	// The messages in the envelopes that wait, in all. Default: four times the envelopes.
	HubMessages int `toml:"hub_messages"`
	// The bytes of one sender that wait or are reserved for uploads. Default: half of all.
	SiteBytes Size `toml:"site_bytes"`
	// The bytes that the open uploads of one sender reserve. Default: as site_bytes.
	SiteReserved Size `toml:"site_reserved"`
	// The open uploads of one sender. Default 32.
	SiteUploads int `toml:"site_uploads"`
	// The envelopes of one sender that wait. Default: half of all.
	SiteEnvelopes int `toml:"site_envelopes"`
	// The messages of one sender that wait. Default: half of all.
	SiteMessages int `toml:"site_messages"`
	// The bytes of metadata that one sender may add in a day (UTC): about 1 KiB for an envelope and
	// 320 bytes for each message. The hub keeps them for keep_metadata. At least 16 KiB. Default: a
	// twentieth of all bytes, at least 2 GiB.
	SiteMetadata Size `toml:"site_metadata"`
	// The bytes that wait in one queue. Default: three quarters of all.
	QueueBytes Size `toml:"queue_bytes"`
	// The deliveries that wait in one queue. Default: three quarters of all envelopes.
	QueueEnvelopes int `toml:"queue_envelopes"`
	// The messages that wait in one queue. Default: three quarters of all.
	QueueMessages int `toml:"queue_messages"`
	// The bytes of the dead letters, in all. They count for no site and no queue. Above it the hub
	// keeps no more of them. Default: a tenth of all bytes.
	DeadBytes Size `toml:"dead_bytes"`
}

// LeastMetadata is the least limit of metadata. A message to 64 sites fits.
const LeastMetadata = 16 * kibi

// metadataLimit refuses a limit below which each message waits for ever.
func metadataLimit(s Size) error {
	if s == 0 {
		return nil
	}
	return atLeast(s, LeastMetadata)
}

// keepMetadata refuses a time in which a site can be off for a night.
func keepMetadata(d Duration) error {
	if d == 0 {
		return nil
	}
	return durationIn(d, 24*hour, 100*366*24*hour)
}

// Sizes behind the default quotas.
const (
	envelopeRoom   = 2 * kibi // of the disk, for each envelope
	leastEnvelopes = 100_000
	usualUploads   = 512
	siteUploads    = 32
)

// For returns the quotas with the defaults of a disk of so many bytes without the reserve.
func (q Quota) For(capacity int64) Quota {
	q.HubBytes = cmp.Or(q.HubBytes, Size(capacity))
	q.HubUploads = cmp.Or(q.HubUploads, usualUploads)
	q.HubEnvelopes = cmp.Or(q.HubEnvelopes, max(int(capacity/int64(envelopeRoom)), leastEnvelopes))
	q.HubMessages = cmp.Or(q.HubMessages, 4*q.HubEnvelopes)
	q.SiteBytes = cmp.Or(q.SiteBytes, q.HubBytes/2)
	q.SiteReserved = cmp.Or(q.SiteReserved, q.SiteBytes)
	q.SiteUploads = cmp.Or(q.SiteUploads, siteUploads)
	q.SiteEnvelopes = cmp.Or(q.SiteEnvelopes, q.HubEnvelopes/2)
	q.SiteMessages = cmp.Or(q.SiteMessages, q.HubMessages/2)
	q.SiteMetadata = cmp.Or(q.SiteMetadata, max(q.HubBytes/20, 2*gibi))
	q.QueueBytes = cmp.Or(q.QueueBytes, q.HubBytes/4*3)
	q.QueueEnvelopes = cmp.Or(q.QueueEnvelopes, q.HubEnvelopes/4*3)
	q.QueueMessages = cmp.Or(q.QueueMessages, q.HubMessages/4*3)
	q.DeadBytes = cmp.Or(q.DeadBytes, q.HubBytes/10)
	return q
}

// Queue is one table [[queue]] of hub.toml.
type Queue struct {
	// The name of the queue, such as "ca_rc_queue". Required.
	Name string `toml:"name"`
	// The site that reads it, such as "CA-RC". Required.
	Site string `toml:"site"`
	// The routing keys bound to it: exact, or with AMQP's * (one word) and # (any words).
	Bindings []string `toml:"bindings"`
}

// DefaultHub returns a hub's configuration with all defaults. Required fields are empty.
func DefaultHub() Hub {
	return Hub{
		Listen: ":7443", State: "state", Suite: SuiteHybrid, Roster: RosterOptional,
		LogLevel: "info", LogFormat: "text",
		KeepAudit:    Duration(400 * 24 * hour),
		KeepMetadata: Duration(730 * 24 * hour),
		Spool:        Spool{Reserve: 5 * gibi, Floor: gibi, Ballast: 64 * mebi},
		Limits:       Limits{BodiesInFlight: 64 * mebi, Memory: 96 * mebi},
		Deliveries: Deliveries{DeadKeep: Duration(30 * 24 * hour),
			ExpiresAfter: Duration(365 * 24 * hour)},
		Console: Console{Listen: "127.0.0.1:0"},
	}
}

// SpoolFor returns the table [spool] for a disk with free bytes free. On a small disk it reserves
// about a quarter, and if possible 64 MiB below that, which the spool needs to open after a crash.
func SpoolFor(free int64) Spool {
	s := DefaultHub().Spool
	have := Size(max(free, 0))
	if have >= 4*s.Reserve {
		return s
	}
	s.Reserve = max(have/4, min(128*mebi, have/2))
	s.Floor = min(max(s.Reserve/5, 64*mebi), s.Reserve/2)
	s.Ballast = min(s.Ballast, s.Reserve/8)
	for _, size := range []*Size{&s.Floor, &s.Ballast} {
		*size = max(*size/mebi, 1) * mebi
	}
	s.Reserve = max(s.Reserve/mebi*mebi, s.Floor+mebi)
	return s
}

// LoadHub reads and checks a hub.toml. It makes every path absolute.
func LoadHub(path string) (Hub, error) {
	path, text, err := read(path)
	if err != nil {
		return Hub{}, err
	}
	return ParseHub(path, text)
}

// ParseHub is LoadHub for the text of the file at an absolute path.
func ParseHub(path string, text []byte) (Hub, error) {
	h := DefaultHub()
	f, err := parse(path, text, &h, fullHub)
	if err != nil {
		return Hub{}, err
	}
	if err := first(f.checkHub(h)); err != nil {
		return Hub{}, err
	}
	h.State = f.abs(h.State)
	if h.PassphraseFile != "" {
		h.PassphraseFile = f.abs(h.PassphraseFile)
	}
	return h, nil
}

// WriteHub writes a hub.toml durably, with a comment on every field. It checks no values: LoadHub
// does.
func WriteHub(path string, h Hub) error { return write(path, hubExample, h) }

// HubFile returns the path of a hub's configuration in its folder.
func HubFile(dir string) string { return filepath.Join(dir, "hub.toml") }

func (f *file) checkHub(h Hub) []error {
	checks := []error{
		f.check("name", siteName(h.Name)),
		f.check("listen", listenAddress(h.Listen)),
		f.check("metrics", emptyOr(h.Metrics, listenAddress)),
		f.check("hosts", hostNames(h.Hosts)),
		f.check("state", notEmpty(h.State)),
		f.check("suite", oneOf(h.Suite, SuiteHybrid, SuiteX25519)),
		f.check("roster", oneOf(h.Roster, RosterOptional, RosterRequired)),
		f.check("log_level", logLevel(h.LogLevel)),
		f.check("log_format", oneOf(h.LogFormat, "text", "json")),
		f.check("keep_audit", durationIn(h.KeepAudit, 24*hour, 100*366*24*hour)),
		f.check("keep_metadata", keepMetadata(h.KeepMetadata)),
		f.check("spool.floor", below(h.Spool.Floor, h.Spool.Reserve, "spool.reserve")),
		f.check("limits.bodies_in_flight", atLeast(h.Limits.BodiesInFlight, mebi)),
		f.check("limits.memory", atLeast(h.Limits.Memory, h.Limits.BodiesInFlight+32*mebi)),
		f.check("console.listen", loopback(h.Console.Listen)),
		f.check("deliveries.max_attempts", atLeast(h.Deliveries.MaxAttempts, 0)),
		f.check("quota.hub_uploads", atLeast(h.Quota.HubUploads, 0)),
		f.check("quota.hub_envelopes", atLeast(h.Quota.HubEnvelopes, 0)),
		f.check("quota.hub_messages", atLeast(h.Quota.HubMessages, 0)),
		f.check("quota.site_uploads", atLeast(h.Quota.SiteUploads, 0)),
		f.check("quota.site_envelopes", atLeast(h.Quota.SiteEnvelopes, 0)),
		f.check("quota.site_messages", atLeast(h.Quota.SiteMessages, 0)),
		f.check("quota.site_metadata", metadataLimit(h.Quota.SiteMetadata)),
		f.check("quota.queue_envelopes", atLeast(h.Quota.QueueEnvelopes, 0)),
		f.check("quota.queue_messages", atLeast(h.Quota.QueueMessages, 0)),
	}
	seen := map[string]bool{}
	for i, q := range h.Queue {
		checks = append(checks, f.checkQueue(i, q, seen)...)
	}
	return checks
}

func (f *file) checkQueue(i int, q Queue, seen map[string]bool) []error {
	checks := []error{f.checkAt(i, "queue.site", siteName(q.Site))}
	if want := id.Site(q.Site).Queue(); q.Name != want {
		checks = append(checks,
			f.checkAt(i, "queue.name", fmt.Errorf("the queue of %s is %q, not %q", q.Site, want,
				q.Name)))
	}
	if seen[q.Name] {
		checks = append(checks,
			f.checkAt(i, "queue.name", fmt.Errorf("%q stands in two tables: put all its bindings "+
				"into one", q.Name)))
	}
	seen[q.Name] = true
	for _, binding := range q.Bindings {
		checks = append(checks, f.checkAt(i, "queue.bindings", pattern(binding)))
	}
	return checks
}
