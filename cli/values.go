package cli

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"sealpost/internal/reason"
)

// wrongValues are the codes of reasons that refuse a value of the command line. The value is
// impossible, or names nothing that the daemon knows.
var wrongValues = []reason.Code{
	"site-name-invalid", "site-name-device", "hash-invalid", "message-id-invalid",
	"message-id-site", "message-id-day", "message-id-zeros", "message-ids-invalid",
	"routing-key-invalid", "address-of-one-form", "address-unordered", "address-twice",
	"fingerprint-of", "join-bad-value", "init-bad-value", "signed-no-key", "root-other-name",

	"pattern-invalid", "hub-no-site", "hub-no-queue", "hub-no-role", "hub-which-role",
	"hub-no-admin", "hub-no-admin-role", "hub-invitation-too-long", "hold-because-too-long",
	"quota-of-receiver", "quota-of-sender", "quota-below-message", "quota-expires-too-soon",
	"letter-no-message", "letter-not-for", "roster-distrust-whom", "roster-distrusted-before",

	"no-such-route", "no-such-sites", "which-route", "approve-no-sites", "add-or-replace",
	"resent-nothing", "message-unknown", "message-is-group", "find-no-name",
}

// asUsage returns the refusal of a value as wrong usage, and any other error as it is.
func asUsage(err error) error {
	if why, ok := errors.AsType[*reason.Error](err); ok &&
		slices.Contains(wrongValues, why.Code) {
		return &usageError{err}
	}
	return err
}

// count is a flag for a whole number within bounds.
type count struct {
	value       *int
	least, most int
}

func (c count) String() string {
	if c.value == nil {
		return "0"
	}
	return strconv.Itoa(*c.value)
}

func (c count) Type() string { return "int" }

func (c count) Set(text string) error {
	n, err := strconv.Atoi(text)
	if err != nil || n < c.least || n > c.most {
		return fmt.Errorf("want a number from %d to %d", c.least, c.most)
	}
	*c.value = n
	return nil
}

// countFlag adds a flag for a whole number. Its default is the present value.
func countFlag(cmd *cobra.Command, c count, name, usage string) {
	cmd.Flags().Var(c, name, usage)
}
