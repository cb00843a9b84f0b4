package doctor

import "context"

// account has nothing to compare: the keys' access lists name the accounts.
func account(context.Context, Options) []Finding { return nil }
