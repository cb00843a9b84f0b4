package words

import "fmt"

// ContentNotGiven says that the hub does not give the content of something for this site.
func ContentNotGiven(why error) string {
	return fmt.Sprintf("the hub does not give its content; asking again: %v", why)
}

// RecalledAfterLoss is the reason of a recalled message that a lost ledger may have sent.
const RecalledAfterLoss = "it may have been sent before the ledger was lost, and then its " +
	"recipients have it"
