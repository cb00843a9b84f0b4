package reason

// The codes that programs compare. All others appear where a reason is made, and in the templates.
const (
	// LedgerLost is the reason of a message that was found in sending/ without a row in the ledger.
	LedgerLost Code = "ledger-lost"
)
