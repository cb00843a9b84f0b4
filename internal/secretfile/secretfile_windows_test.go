package secretfile

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/windows"

	"sealpost/internal/access"
	"sealpost/internal/winetest"
)

func account(t *testing.T) string {
	t.Helper()
	sid, err := access.Account()
	if err != nil {
		t.Fatal(err)
	}
	return sid
}

func TestReadRefusesLooseFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.key")
	if err := Create(path, []byte("x")); err != nil {
		t.Fatal(err)
	}
	expect(t, path, "x")
	everybody, err := windows.SecurityDescriptorFromString("D:P(A;;FA;;;" + account(t) +
		")(A;;FR;;;WD)")
	if err != nil {
		t.Fatal(err)
	}
	list, _, err := everybody.DACL()
	if err != nil {
		t.Fatal(err)
	}
	if err := windows.SetNamedSecurityInfo(path, windows.SE_FILE_OBJECT,
		windows.DACL_SECURITY_INFORMATION|windows.PROTECTED_DACL_SECURITY_INFORMATION, nil, nil,
		list, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(path, 100); !errors.Is(err, ErrLoose) {
		t.Fatalf("a file that everybody reads: %v, want ErrLoose", err)
	}
}

func TestFilesInAPrivateFolderAreTight(t *testing.T) {
	winetest.Lacks(t, "the inheritance of access lists")
	dir := filepath.Join(t.TempDir(), "state")
	if err := MkdirAll(dir); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "inherits")
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	expect(t, path, "x")
}

func TestInspectNamesWhomAnAccessListLetsIn(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	if err := MkdirAll(dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"tight", "loose"} {
		if err := Create(filepath.Join(dir, name), []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	everybody, err := windows.SecurityDescriptorFromString("D:P(A;;FA;;;" + account(t) +
		")(A;;FR;;;WD)")
	if err != nil {
		t.Fatal(err)
	}
	list, _, err := everybody.DACL()
	if err != nil {
		t.Fatal(err)
	}
	if err := windows.SetNamedSecurityInfo(filepath.Join(dir, "loose"), windows.SE_FILE_OBJECT,
		windows.DACL_SECURITY_INFORMATION|windows.PROTECTED_DACL_SECURITY_INFORMATION, nil, nil,
		list, nil); err != nil {
		t.Fatal(err)
	}
	var found []Flaw
	if err := Inspect(dir, func(f Flaw) { found = append(found, f) }); err != nil {
		t.Fatal(err)
	}
	if len(found) != 1 || found[0].Name != "loose" || found[0].Kind != Listed ||
		found[0].Owner != "S-1-1-0" {
		t.Errorf("found %+v", found)
	}
}
