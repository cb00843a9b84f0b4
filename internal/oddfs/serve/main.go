// Command serve mounts the file system of package oddfs: serve FOLDER MOUNTPOINT. It reads habits
// from its standard input, one JSON object in a line, and ends with it.
package main

import (
	"fmt"
	"os"

	"sealpost/internal/oddfs"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: serve FOLDER MOUNTPOINT")
		os.Exit(2)
	}
	if err := oddfs.Serve(os.Args[1], os.Args[2], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
