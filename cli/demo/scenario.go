package demo

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"sealpost/internal/id"
)

// hubName is headquarters.
const hubName id.Site = "DC-HQ"

// lab is a site that sends, and the one file that the demo drops there.
type lab struct {
	site   id.Site
	kind   string
	number int64 // of its first message
	file   string
	size   int // bytes; more than 1 MiB travels in parts
	reach  []id.Site
}

// route is the routing key under which the lab publishes.
func (l lab) route() string {
	return strings.ToLower(string(l.site)) + "." + strings.ToLower(l.kind)
}

// centre is a site that receives, and the routing keys that are directed to its queue.
type centre struct {
	site     id.Site
	bindings []string
}

// The scenario: nine deliveries, three for CA-RC, two for NY-RC, four for SF-RC.
var (
	labs = []lab{
		{"FL-LAB", "DAT", 1, "raw data.csv", 300 << 10, []id.Site{"CA-RC", "SF-RC"}},
		{"PA-LAB", "RPT", 125, "report.txt", 20 << 10, []id.Site{"CA-RC", "NY-RC", "SF-RC"}},
		{"MA-LAB", "DAT", 45, "spectra.dat", 20 << 20, []id.Site{"NY-RC", "SF-RC"}},
		{"IL-LAB", "RPT", 175, "findings.txt", 2 << 10, []id.Site{"CA-RC", "SF-RC"}},
	}
	centres = []centre{
		{"CA-RC", []string{"fl-lab.*", "pa-lab.*", "il-lab.*"}},
		{"NY-RC", []string{"pa-lab.*", "ma-lab.*"}},
		{"SF-RC", []string{"#"}},
	}
)

// content makes the file of a lab: lines of measurements, different at every run.
func (l lab) content(now time.Time) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s, %s, %s\n", l.site, l.file, now.UTC().Format(time.RFC3339Nano))
	random := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	var lines [1000]string // are enough for any size
	for i := range lines {
		lines[i] = fmt.Sprintf("%d;%.6f;%.6f\n", i, random.Float64(), random.NormFloat64())
	}
	for i := 0; b.Len() < l.size; i++ {
		b.WriteString(lines[i%len(lines)])
	}
	return []byte(b.String())
}
