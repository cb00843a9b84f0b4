package lyinghub

import (
	"bytes"
	"encoding/json"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sealpost/envelope"
	"sealpost/hub/api"
	"sealpost/internal/id"
)

// memory keeps the deliveries of the hub.
type memory struct {
	mu   sync.Mutex
	list []api.Delivery
}

// listens lets leases pass and remembers them.
func (l *liar) listens() *memory {
	m := &memory{}
	l.leases(func(x *exchange, list []api.Delivery) []api.Delivery {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.list = append(m.list, list...)
		return list
	})
	return m
}

func (m *memory) all() []api.Delivery {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.list)
}

// handsOut gives a site one delivery once, instead of the hub's, and takes each of its settlements.
func (l *liar) handsOut(to *site, d api.Delivery) (settled func() int) {
	var mu sync.Mutex
	handedOut, taken := false, 0
	d.Queue, d.Token, d.LeasedUntil = to.Name.Queue(), api.Token(strings.Repeat("0", 32)),
		time.Now().Add(time.Minute)
	l.tell(api.PathLease, func(x *exchange) {
		mu.Lock()
		first := x.Site == to.Name && !handedOut
		handedOut = handedOut || first
		mu.Unlock()
		switch {
		case first:
			x.deliver([]api.Delivery{d})
		case x.Site == to.Name:
			<-x.r.Context().Done()
			x.problem(api.CodeBusy)
		default:
			x.forward()
		}
	})
	l.tell(api.PathSettle, func(x *exchange) {
		var in api.SettleRequest
		must(x.t, json.Unmarshal(x.In, &in))
		mu.Lock()
		defer mu.Unlock()
		taken += len(in.Settlements)
		x.answer(api.SettleAnswer{
			Settled: slices.Repeat([]api.SettledDelivery{{Time: time.Now()}}, len(in.Settlements))})
	})
	l.tell(api.PathRelease, func(x *exchange) { x.Status = 204 })
	return func() int {
		mu.Lock()
		defer mu.Unlock()
		return taken
	}
}

// delivered is one file that has arrived at the centre, and the delivery that brought it.
func delivered(t *testing.T, w *world, lab, centre *site) api.Delivery {
	t.Helper()
	m := w.liar.listens()
	lab.drop("data.csv", "secret")
	centre.has("FL-LAB/data.csv: secret")
	lab.tray("delivered", "data.csv")
	return m.all()[0]
}

// The same delivery, or its content under another name, again: nothing comes twice.
func TestTheHubReplaysAnEnvelope(t *testing.T) {
	for name, c := range map[string]struct {
		replay func(*api.Delivery)
		log    string // of the centre
	}{
		"as it was": {func(d *api.Delivery) {}, "known already"},
		"in another place of the queue": {func(d *api.Delivery) { d.Sequence += 1000 },
			"known already"},
		"under another envelope id": {
			func(d *api.Delivery) { d.Envelope = id.Random128[id.Envelope]() }, "known already"},
		"as another message": {func(d *api.Delivery) { another(d) },
			"code=metadata-mismatch"},
		"as another message of another": {func(d *api.Delivery) {
			another(d)
			d.Sender = "SF-LAB"
			d.Messages[0].ID = "SF-LAB_DAT_20260301_001"
		}, "code=metadata-mismatch"},
		"for another address": {func(d *api.Delivery) {
			another(d)
			d.Address = id.Address{To: []id.Site{"CA-RC"}}
		}, "code=metadata-mismatch"},
		"with other bytes and their sums": {
			func(d *api.Delivery) { another(d); flip(d, 500); sums(d) }, "code="},
	} {
		t.Run(name, func(t *testing.T) {
			w, lab, centre, _ := network(t)
			d := delivered(t, w, lab, centre)
			before := centre.Count(c.log)
			c.replay(&d)
			settled := w.liar.handsOut(centre, d)
			eventually(t, "it settles", func() bool { return settled() == 1 })
			if centre.Count(c.log) == before {
				t.Errorf("it does not say %q", c.log)
			}
			centre.has("FL-LAB/data.csv: secret")
			w.liar.truth()
			lab.drop("next", "next")
			centre.has("FL-LAB/data.csv: secret", "FL-LAB/next: next")
		})
	}
}

// another makes a delivery one that the centre has not seen.
func another(d *api.Delivery) {
	d.Envelope = id.Random128[id.Envelope]()
	d.Messages = slices.Clone(d.Messages)
	d.Messages[0].UID = id.Random128[id.UID]()
}

func flip(d *api.Delivery, at int) {
	d.Content = bytes.Clone(d.Content)
	d.Content[at] ^= 1
}

func sums(d *api.Delivery) {
	d.CRC32C = []uint32{crc32.Checksum(d.Content, crc32.MakeTable(crc32.Castagnoli))}
}

// A wrong content without proof against its sender is handed back, said, and mended by the truth.
func TestTheHubServesBrokenContent(t *testing.T) {
	for name, c := range map[string]func(*api.Delivery){
		"a flipped bit":    func(d *api.Delivery) { flip(d, len(d.Content)/2) },
		"a flipped header": func(d *api.Delivery) { flip(d, 30) },
		"another sum":      func(d *api.Delivery) { d.CRC32C = []uint32{1} },
		"no sum":           func(d *api.Delivery) { d.CRC32C = nil },
		"cut": func(d *api.Delivery) {
			d.Content = d.Content[:1000]
			d.Size = 1000
		},
		"cut, announced longer": func(d *api.Delivery) {
			d.Size += 10
			d.Content = append(bytes.Clone(d.Content), make([]byte, 10)...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, lab, centre, _ := network(t)
			w.liar.leases(func(x *exchange, list []api.Delivery) []api.Delivery {
				for i := range list {
					c(&list[i])
				}
				return list
			})
			lab.drop("data.csv", "secret")
			eventually(t, "it is handed back",
				func() bool { return centre.Count("msg=released") > 0 })
			if s := centre.Status().Inbox; len(s.Released) != 1 || len(s.Refused) != 0 {
				t.Errorf("the status says %+v", s)
			}
			w.nothingWent(centre)
			lab.tray("sending", "data.csv")
			w.liar.truth()
			centre.has("FL-LAB/data.csv: secret")
			lab.tray("delivered", "data.csv")
		})
	}
}

// A delivery that is handed back comes again in seconds, even if its release is lost or late.
// Otherwise it would wait for the end of its lease, which is two minutes away.
func TestTheWordThatADeliveryIsHandedBackIsLost(t *testing.T) {
	for name, c := range map[string]struct{ heard, isLate bool }{
		"before the hub hears it":                  {},
		"and the hub has heard it":                 {heard: true},
		"and the delivery comes again before that": {heard: true, isLate: true},
	} {
		t.Run(name, func(t *testing.T) {
			w, lab, centre, _ := network(t)
			var broken, lost sync.Once
			var leases atomic.Int64
			leasedAgain := make(chan struct{})
			w.liar.leases(func(x *exchange, list []api.Delivery) []api.Delivery {
				if len(list) > 0 {
					broken.Do(func() { flip(&list[0], len(list[0].Content)/2) })
					if leases.Add(1) == 2 {
						close(leasedAgain)
					}
				}
				return list
			})
			w.liar.tell(api.PathRelease, func(x *exchange) {
				first := false
				lost.Do(func() { first = true })
				if !first || c.heard {
					x.forward()
				}
				if !first {
					return
				}
				if c.isLate {
					select {
					case <-leasedAgain:
					case <-x.r.Context().Done():
					}
				}
				x.problem(api.CodeBusy)
			})
			lab.drop("data.csv", "secret")
			centre.has("FL-LAB/data.csv: secret")
			lab.tray("delivered", "data.csv")
			if s := centre.Status().Inbox; len(s.Released) > 0 {
				t.Errorf("the status says %+v", s.Released)
			}
		})
	}
}

// The content of another envelope, with its own sums, looks like the sender's fault. The centre
// refuses it in writing, and the sender learns that its file did not arrive.
func TestTheHubServesAnotherContent(t *testing.T) {
	w, lab, centre, _ := network(t)
	first := delivered(t, w, lab, centre)
	w.liar.leases(func(x *exchange, list []api.Delivery) []api.Delivery {
		for i := range list {
			list[i].Content, list[i].Size, list[i].CRC32C = first.Content, first.Size, first.CRC32C
		}
		return list
	})
	lab.drop("second", "second")
	if text := lab.why("second"); !strings.Contains(text, "CA-RC") {
		t.Errorf("WHY.txt says %q", text)
	}
	lab.tray("failed", "second")
	if got := lab.message().Recipients[0]; got.Outcome != "refused" ||
		got.Code != "metadata-mismatch" || !got.Verified {
		t.Errorf("the lab says %+v", got)
	}
	centre.has("FL-LAB/data.csv: secret")
}

// An envelope that is for another centre, handed to one that it is not for.
func TestTheHubServesAnotherSitesContent(t *testing.T) {
	w, lab, centre, other := network(t)
	d := delivered(t, w, lab, centre)
	settled := w.liar.handsOut(other, d)
	eventually(t, "it is refused", func() bool { return settled() == 1 })
	if s := other.Status().Inbox.Refused; len(s) != 1 {
		t.Errorf("refused: %+v", s)
	}
	w.nothingWent(other)
}

// The hub makes an envelope itself, signed with an identity that it has given the lab's name.
func TestTheHubSendsInTheNameOfALab(t *testing.T) {
	w, lab, centre, _ := network(t)
	d := delivered(t, w, lab, centre) // the centre has seen the lab
	forged := w.liar.forges(d, centre)
	w.liar.handsOut(centre, forged)
	eventually(t, "it is handed back", func() bool { return centre.Count("code=pin") > 0 })
	if p := centre.pin("FL-LAB"); !strings.Contains(p.Trouble.String(), "another identity key") ||
		p.Identity != lab.Identity().Key() {
		t.Errorf("the pins do not tell: %+v", p)
	}
	centre.has("FL-LAB/data.csv: secret")
	w.liar.truth()
	lab.drop("next", "next")
	centre.has("FL-LAB/data.csv: secret", "FL-LAB/next: next")
}

// forges seals a file for the centre as the lab, but for the lab's key.
func (l *liar) forges(like api.Delivery, centre *site) api.Delivery {
	l.t.Helper()
	keys, err := envelope.OpenKeys(filepath.Join(centre.Dir, "state", "recipient.key"),
		envelope.SuiteHybrid)
	must(l.t, err)
	d := like
	another(&d)
	var out bytes.Buffer
	sealed, err := envelope.Seal(&out, envelope.SealRequest{
		Network: l.network, Envelope: d.Envelope, Sender: d.Sender, Address: d.Address,
		Recipients: []envelope.Recipient{{Site: centre.Name, Key: keys.Recipient()}},
		Messages:   []envelope.Message{forgedMessage(d.Messages[0])},
	}, l.forger(d.Sender))
	must(l.t, err)
	d.Content, d.Size, d.CRC32C, d.Inline = out.Bytes(), sealed.Size, sealed.CRC32C, true
	return d
}

// Large content is read in ranges, of which the hub gives wrong ones.
func TestTheHubServesWrongRanges(t *testing.T) {
	for name, lies := range map[string]lie{
		"the first range always": func(x *exchange) {
			var in api.ContentRequest
			must(x.t, json.Unmarshal(x.In, &in))
			in.Offset, in.Length = 0, min(in.Length, 1<<20)
			x.In = encode(x.t, in)
			x.forward()
		},
		"one bit changed": func(x *exchange) {
			x.forward()
			if x.Status == 200 {
				x.Out[len(x.Out)/2] ^= 1
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, lab, centre, _ := network(t)
			w.liar.tell(api.PathContent, lies)
			content := random(9 << 20)
			lab.drop("large", content)
			eventually(t, "it is said", func() bool {
				return len(centre.Status().Inbox.Released) == 1
			})
			w.nothingWent(centre)
			w.liar.truth()
			eventually(t, "it arrives", func() bool { return len(centre.inbox()) == 1 })
			got, err := os.ReadFile(filepath.Join(centre.Dir, "inbox", "FL-LAB", "large"))
			if err != nil || string(got) != content {
				t.Errorf("it arrived as %d bytes, %v", len(got), err)
			}
			lab.tray("delivered", "large")
		})
	}
}

// The hub hands deliveries out in another order than the queue's.
func TestTheHubReordersTheQueue(t *testing.T) {
	w, lab, centre, _ := network(t)
	centre.Stop()
	for _, name := range []string{"a", "b", "c"} {
		lab.drop(name, name)
		eventually(t, "it is published", func() bool {
			m := lab.message()
			return m.Name == name && m.State == "published"
		})
	}
	w.liar.leases(func(x *exchange, list []api.Delivery) []api.Delivery {
		slices.Reverse(list)
		return list
	})
	centre.Start()
	centre.has("FL-LAB/a: a", "FL-LAB/b: b", "FL-LAB/c: c")
	lab.tray("delivered", "a", "b", "c")
}
