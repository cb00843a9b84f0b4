package doctor

import "sealpost/internal/reason"

// serviceOf is of no use: package way judges nothing on Windows.
func serviceOf(Options) []int { return nil }

func goodPermissions(state string) reason.Reason {
	return reason.New("access-lists-good", "folder", state)
}

// settings checks nothing: the access list of its folder covers agent.toml.
func settings(Options) []Finding { return nil }
