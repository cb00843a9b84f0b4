package cli

import (
	"github.com/spf13/cobra"

	"sealpost/internal/reason"
	"sealpost/internal/service"
)

// workAsOwner gives root's rights up where a daemon's folder belongs to another account, and says
// so.
func workAsOwner(cmd *cobra.Command, dir string) error {
	_, err := tellOwner(cmd, dir, service.WorkAsOwner)
	return err
}

// makeAsOwner is workAsOwner for a command that makes the folder if it is missing. It returns the
// account; empty: as before.
func makeAsOwner(cmd *cobra.Command, dir string) (account string, err error) {
	return tellOwner(cmd, dir, service.MakeAsOwner)
}

func tellOwner(cmd *cobra.Command, dir string,
	work func(dir string) (string, error)) (account string, err error) {
	if account, err = work(absolute(dir)); err == nil && account != "" {
		printf(cmd.ErrOrStderr(), "%s\n", reason.New("works-as", "account", account,
			"folder", absolute(dir)))
	}
	return account, err
}
