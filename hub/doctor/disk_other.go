//go:build !linux

package doctor

import (
	"context"

	"sealpost/internal/finding"
)

// A hub runs on Linux only.

func countInodes(string) (all, free int64, err error) { return 0, 0, nil }

func serviceOf(*subject) []int { return nil }

func account(context.Context, *subject, func(finding.Finding)) {}

func clock(context.Context, *subject, func(finding.Finding)) {}
