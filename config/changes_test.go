package config

import (
	"slices"
	"testing"
)

func TestChanges(t *testing.T) {
	a := DefaultHub()
	a.Name, a.Hosts = "DC-HQ", []string{"hub.example.org"}
	b := a
	b.Queue = []Queue{{Name: "ca_rc_queue", Site: "CA-RC", Bindings: []string{"#"}}}
	if got, err := Changes(a, b); err != nil || len(got) != 0 {
		t.Errorf("a queue: %v, %v", got, err)
	}
	b.Hosts = append(slices.Clone(a.Hosts), "192.0.2.1")
	b.Metrics, b.LogLevel, b.Spool.Reserve, b.Limits.Memory = "127.0.0.1:1", "debug", 1, 2
	want := []string{"hosts", "limits.memory", "log_level", "metrics", "spool.reserve"}
	for _, c := range [][2]Hub{{a, b}, {b, a}} {
		if got, err := Changes(c[0], c[1]); err != nil || !slices.Equal(got, want) {
			t.Errorf("got %v, %v", got, err)
		}
	}
}
