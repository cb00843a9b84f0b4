package ledger

import (
	"fmt"
	"strings"

	"sealpost/internal/reason"
)

// A column holds a reason as its code, followed by its arguments if it has any, such as
// not-delivered{"sites":["CA-RC"]}. The empty text is no reason.

// stored returns a reason in the form of the columns.
func stored(r reason.Reason) string { return string(r.Code) + r.Args }

// column scans a reason.
type column reason.Reason

// Scan reads a column.
func (c *column) Scan(value any) error {
	text, ok := value.(string)
	if !ok {
		return fmt.Errorf("a reason of type %T", value)
	}
	code, _, _ := strings.Cut(text, "{")
	*c = column{Code: reason.Code(code), Args: text[len(code):]}
	return nil
}

// reasons are the columns that hold reasons, by their tables.
var reasons = []struct{ table, column string }{
	{"message", "reason"}, {"recipient", "doubt"}, {"pin", "trouble"}, {"delivery", "detail"},
}

// coded returns the step that gives codes to texts of earlier versions. Of texts that programs
// compare, the code is the one of the same fact.
func coded() string {
	var b strings.Builder
	for _, c := range reasons {
		fmt.Fprintf(&b, "UPDATE %[1]s SET %[2]s = CASE", c.table, c.column)
		for _, known := range formerTexts {
			fmt.Fprintf(&b, " WHEN %s = '%s' THEN '%s'", c.column, known.text, known.code)
		}
		fmt.Fprintf(&b, " WHEN %[1]s GLOB 'its recipient key is the one of *' "+
			"THEN 'shared-key' || json_object('site', substr(%[1]s, 33)) "+
			"WHEN %[1]s GLOB 'not delivered to *' THEN 'not-delivered{\"sites\":[\"' || "+
			"replace(substr(%[1]s, 18), ', ', '\",\"') || '\"]}' "+
			"ELSE 'text' || json_object('text', %[1]s) END WHERE %[1]s <> '';\n", c.column)
	}
	return b.String()
}

// formerTexts are texts of earlier versions whose codes programs compare.
var formerTexts = []struct {
	text string
	code reason.Code
}{
	{"it lay in sending and the ledger did not know of it (the ledger was lost, an older copy " +
		"was put back, or a user put it there); it is sent now, and whoever has it already keeps " +
		"one copy", reason.LedgerLost},
	{"the ledger did not know of it (it was lost, or an older copy was put back); it is sent " +
		"again, and whoever has it keeps one copy", reason.LedgerLost},
	{"it may have been sent before the ledger was lost, and then its recipients have it",
		reason.RecalledAfterLoss},
	{"it shows another identity key", "other-identity"},
}
