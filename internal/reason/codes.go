package reason

// The codes that programs compare. All others appear where a reason is made, and in the templates.
const (
	// LedgerLost is the reason of a message that was found in sending/ without a row in the ledger.
	LedgerLost Code = "ledger-lost"
	// RecalledAfterLoss is the reason of a recalled message that a lost ledger may have sent.
	RecalledAfterLoss Code = "recalled-after-loss"
	// SharedKey is the trouble of a site with the recipient key of another site.
	SharedKey Code = "shared-key"
)
