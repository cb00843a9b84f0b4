// Sealpost carries files from labs to research centres through a hub that cannot read them.
package main

import (
	"context"
	"os"

	"sealpost/cli"
)

func main() {
	os.Exit(cli.Main(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}
