package words

import "fmt"

// What is said of a site's ledger when it is not what it was.
const (
	LedgerGone  = "the ledger is gone, and a new one begins: approvals have to be given again, and sites are known by what they show first"
	LedgerMixed = "ledger.db and ledger.db-wal were of two times: somebody has put one of them back without the other. They are not used together: " +
		"the ledger is what ledger.db holds, and ledger.db-wal is kept beside it under another name. No file is lost, and none comes twice; " +
		"what the ledger knew of the time between the two, receipts and approvals among it, is gone"
	LedgerTorn = "ledger.db and ledger.db-wal were of two times, and ledger.db alone is damaged: both are kept under other names, and a new ledger begins. " +
		"No file is lost, and none comes twice; approvals have to be given again, and sites are known by what they show first"
)

// WaitsForRoom says that an agent does nothing until its disk has room.
func WaitsForRoom(full error) error {
	return fmt.Errorf("nothing is sent or received: %w. The agent goes on by itself when there is room", full)
}
