package freeport

import (
	"net"
	"testing"
)

func TestAddressesAreFreeAndNeverTheSame(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		addr, err := Address()
		if err != nil || seen[addr] {
			t.Fatalf("%s a second time, or %v", addr, err)
		}
		seen[addr] = true
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close() // the next ones pass over it
	}
}
