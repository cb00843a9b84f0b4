package cli

import (
	"errors"
	"io/fs"

	"github.com/spf13/cobra"

	"sealpost/config"
	"sealpost/hub/doctor"
	"sealpost/internal/finding"
	"sealpost/internal/reason"
)

func hubCheckCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "check", Short: "Check hub.toml and its surroundings before a restart", Args: noArgs,
		Long: "Check what a start of the hub depends on: every key and value of hub.toml, the\n" +
			"addresses, the suite, the certificates, the folders, their permissions and their\n" +
			"space. It changes nothing, and works whether the hub runs or not. Run it under the\n" +
			"hub's account. The exit code is 1 when a line says FAIL.",
		RunE: func(cmd *cobra.Command, _ []string) error { return examineHub(cmd, doctor.Check) },
	}
	dirFlag(cmd, "hub")
	jsonFlag(cmd)
	return cmd
}

func hubDoctorCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "doctor", Short: "Look for what is wrong at the hub, and say what to do about it",
		Args: noArgs,
		Long: "Look for what is wrong at the hub: what sealpost hub check looks at, and the\n" +
			"disk, the clock, the root, the log, the names under which sites reach it, queues\n" +
			"that wait for long, and sites that are not seen, run twice or ask to be let in.\n" +
			"Each line says OK, WARN or FAIL and what to do. It changes nothing. Run it under\n" +
			"the hub's account. The exit code is 1 when a line says FAIL.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return examineHub(cmd, doctor.Examine)
		},
	}
	dirFlag(cmd, "hub")
	jsonFlag(cmd)
	return cmd
}

// examineHub shows the findings about the hub at --dir. Those that need the configuration follow
// only if it has no fault.
func examineHub(cmd *cobra.Command, examine doctor.Examination) error {
	dir := dirOf(cmd)
	if err := workAsOwner(cmd, dir); err != nil {
		return err
	}
	return showFindings(cmd, reason.English, func(note func(finding.Finding)) error {
		cfg, err := readHubConfig(dir, note)
		if err == nil && cfg.Name != "" {
			examine(cmd.Context(), doctor.Options{Config: cfg, Dir: dir}, note)
		}
		return err
	})
}

// readHubConfig reads hub.toml, and notes each of its faults. With a fault it returns no
// configuration.
func readHubConfig(dir string, note func(finding.Finding)) (config.Hub, error) {
	path, check := config.HubFile(dir), reason.New("check-config")
	faults := config.HubFaults(path)
	for _, fault := range faults {
		if errors.Is(fault, fs.ErrNotExist) {
			return loadHub(dir) // which says so
		}
		note(finding.Failure(check, reason.Of(fault), reason.New("hub-fix-config")))
	}
	if len(faults) > 0 {
		return config.Hub{}, nil
	}
	note(finding.Good(check, reason.New("hub-config-good")))
	return config.LoadHub(path)
}
