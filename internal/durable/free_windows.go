package durable

import (
	"fmt"
	"math"

	"golang.org/x/sys/windows"
)

// Free returns the number of bytes that this process can still write to the volume of dir.
func Free(dir string) (int64, error) {
	name, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, fmt.Errorf("free space of %s: %w", dir, err)
	}
	var available uint64
	if err := windows.GetDiskFreeSpaceEx(name, &available, nil, nil); err != nil {
		return 0, fmt.Errorf("free space of %s: %w", dir, err)
	}
	return int64(min(available, math.MaxInt64)), nil
}
