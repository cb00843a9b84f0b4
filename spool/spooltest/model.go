package spooltest

import "testing"

func checkModel(t *testing.T, open Factory) {}
