package hub

import (
	"flag"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "write the generated documents anew")

// docs/api.yaml describes exactly the endpoints and their types. Other tests check their answers.
func TestOpenAPI(t *testing.T) {
	for _, e := range endpoints() {
		if _, found := operations[e.name()]; !found {
			t.Errorf("%s is not documented", e.name())
		}
	}
	if len(operations) != len(endpoints()) {
		t.Errorf("%d operations are documented, and there are %d", len(operations),
			len(endpoints()))
	}
	want := newDocument(t).write()
	const path = "../docs/api.yaml"
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("docs/api.yaml is not what the code says; run: go test ./hub -run OpenAPI -update")
	}
}
