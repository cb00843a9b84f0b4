package words

// RecalledAfterLoss is the reason of a recalled message that a lost ledger may have sent.
const RecalledAfterLoss = "it may have been sent before the ledger was lost, and then its " +
	"recipients have it"
