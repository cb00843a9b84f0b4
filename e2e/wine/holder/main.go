//go:build windows

// Holder opens a file and keeps it open until its standard input ends, as another program.
//
//	holder read|write SHARE FILE     (SHARE: any of r, w and d; - for none)
package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/windows"
)

func main() {
	if err := hold(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, "holder:", err)
		os.Exit(1)
	}
}

func hold(mode, shared, path string) error {
	access := uint32(windows.GENERIC_READ)
	if mode == "write" {
		access |= windows.GENERIC_WRITE
	}
	var share uint32
	for letter, bit := range map[string]uint32{
		"r": windows.FILE_SHARE_READ, "w": windows.FILE_SHARE_WRITE, "d": windows.FILE_SHARE_DELETE,
	} {
		if strings.Contains(shared, letter) {
			share |= bit
		}
	}
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return err
	}
	h, err := windows.CreateFile(name, access, share, nil, windows.OPEN_EXISTING, 0, 0)
	if err != nil {
		return err
	}
	fmt.Println("open")
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	return windows.CloseHandle(h)
}
