package reason

// Verdict is a finding about a thing, and the remedy. Do is none if there is nothing to do.
type Verdict struct {
	Says Reason `json:"says"`
	Do   Reason `json:"do,omitzero"`
}

// Line returns finding and remedy as one reason.
func (v Verdict) Line() Reason {
	if v.Do.IsZero() {
		return v.Says
	}
	return New("verdict", "says", v.Says, "do", v.Do)
}
