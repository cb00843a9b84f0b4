//go:build linux

package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// A site knows its hub under two addresses. Where one is dead it takes the other, whichever was
// good before.
func TestOneOfTwoAddressesIsDead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	centre := w.Centre("CA-RC", "fl-lab.*")
	lab := w.NewLab("FL-LAB", centre)
	first, second := newLine(t, w.addr), newLine(t, w.addr)
	edit(t, lab.config(), fmt.Sprintf("%q", w.addr),
		fmt.Sprintf("%q, %q", first.address(), second.address()))
	first.Cut()
	lab.Start()
	for round, dead := range []*line{first, second, first} {
		liveLine := first
		if dead == first {
			liveLine = second
		}
		liveLine.Mend()
		dead.Cut()
		before := liveLine.carried[0].Load()
		name := fmt.Sprintf("round %d.bin", round)
		lab.Drop(name, largeFile)
		centre.Expect(lab, name)
		if sent := liveLine.carried[0].Load() - before; sent < largeFile {
			t.Errorf("round %d: %d bytes went by the address that was good", round, sent)
		}
	}
	first.Cut()
	second.Cut()
	lab.tells("that both are dead", "the hub cannot be reached", first.address(), second.address())
	first.Mend()
	lab.Drop("afterwards.csv", smallFile)
	w.Audit()
}

// The proxy of the house asks for no password, and is never told one.
func TestThroughAProxyWithoutPassword(t *testing.T) {
	t.Parallel()
	w := newWorldOf(t, program, "hub.example")
	centre := w.Centre("CA-RC", "fl-lab.*")
	lab := w.NewLab("FL-LAB", centre)
	p := newProxy(t, w.addr, "")
	edit(t, lab.config(), fmt.Sprintf("%q, ", w.addr), "")
	lab.Start("HTTPS_PROXY=http://" + p.Listener.Addr().String())
	lab.Drop("small.csv", smallFile)
	lab.Drop("huge.bin", hugeFile)
	centre.Expect(lab, "small.csv", "huge.bin")
	if p.through.Load() == 0 || p.refused.Load() > 0 {
		t.Errorf("%d connections went through the proxy, and it refused %d", p.through.Load(),
			p.refused.Load())
	}
	lab.Stop()
	if !strings.Contains(read(t, lab.config()), `hub = ["hub.example:`) {
		t.Error("the lab knows another way to the hub")
	}
	lab.Start("HTTPS_PROXY=http://" + p.Listener.Addr().String())
	w.Audit()
}
