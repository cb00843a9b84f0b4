package cli

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the linker; see the Makefile.
var version string

func versionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "version", Short: "Say which sealpost this is", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v := versionInfo()
			return show(cmd, v, func() error {
				_, err := printf(cmd.OutOrStdout(), "sealpost %s, %s, %s\n", v.Version,
					v.Go, v.System)
				return err
			})
		},
	}
	jsonFlag(cmd)
	return cmd
}

type versionReport struct {
	Version string `json:"version"`
	Go      string `json:"go"`
	System  string `json:"system"`
}

// versionInfo returns the version of the Makefile or, without one, of the module.
func versionInfo() versionReport {
	v := version
	if info, ok := debug.ReadBuildInfo(); v == "" && ok {
		v = info.Main.Version
	}
	if v == "" {
		v = "unknown"
	}
	return versionReport{Version: v, Go: runtime.Version(),
		System: runtime.GOOS + "/" + runtime.GOARCH}
}
