package doctor

import "sealpost/internal/words"

// serviceOf is of no use: package way judges nothing on Windows.
func serviceOf(Options) []int { return nil }

func goodPermissions(state string) words.Verdict { return words.AccessListsGood(state) }

// settings looks at nothing: who may write to agent.toml stands in the access list of its folder.
func settings(Options) []Finding { return nil }
