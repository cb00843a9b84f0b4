package console_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"sealpost/config"
	"sealpost/hub"
	"sealpost/internal/id"
)

// BenchmarkPagesAt400Sites opens each page of a hub with 400 sites beside the two that run. The
// slowest of a hundred calls is reported too.
func BenchmarkPagesAt400Sites(b *testing.B) {
	w := newWorld(b)
	for i := range 400 {
		role := []string{config.RoleSend, config.RoleReceive}[i%2]
		w.Hub.Admin(hub.ControlAdmit, hub.AdmitRequest{Site: id.Site(fmt.Sprintf("SITE-%03d", i)),
			Role: role, Fingerprint: id.Hash(fmt.Sprintf("%064x", i))}, nil)
	}
	m := w.drop("a.dat", "x")
	for i := range 50 {
		w.drop(fmt.Sprint("b", i, ".dat"), "x")
	}
	c := enter(b, w.link(""))
	for _, page := range []string{"flow", "sites", "site?name=SITE-001", "queues", "messages",
		"messages?state=refused", "messages?from=FL-LAB", "message?id=" + string(m), "trouble",
		"health", "audit"} {
		b.Run(page, func(b *testing.B) {
			var took []time.Duration
			for b.Loop() {
				began := time.Now()
				c.get(page)
				took = append(took, time.Since(began))
			}
			b.ReportMetric(float64(slices.Max(took))/1e6, "worst-ms")
		})
	}
}
