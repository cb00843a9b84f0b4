package e2e

import "testing"

func TestAFileArrives(t *testing.T) {
	t.Parallel()
	w, lab, centre := labAndCentre(t)
	lab.Drop("data.csv", 10*kib)
	centre.Expect(lab, "data.csv")
	w.Audit()
}
