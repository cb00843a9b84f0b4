//go:build linux

package main

import (
	"fmt"

	"sealpost/config"
)

// amountFlag returns a flag for an amount such as "64GiB".
func amountFlag(into *int64) func(string) error {
	return func(s string) error {
		var size config.Size
		if err := size.UnmarshalText([]byte(s)); err != nil {
			return err
		}
		*into = int64(size)
		return nil
	}
}

func amount(n int64) string {
	switch {
	case n >= 1<<30 && n%(1<<30) == 0:
		return fmt.Sprintf("%d GiB", n>>30)
	case n >= 1<<20 && n%(1<<20) == 0:
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d KiB", n>>10)
}
