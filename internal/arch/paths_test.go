package arch

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// handled are the rooms that work in folders of other accounts. They reach files through
// internal/beneath alone: a path names whatever lies there now, and another account may have put a
// link there.
var handled = []string{"agent/tray", "agent/outbox", "agent/inbox", "agent/report",
	"internal/dropin"}

// pathless are the names of os and path/filepath that take no path, or do nothing with a file.
var pathless = []string{
	// os
	"O_RDONLY", "O_WRONLY", "O_RDWR", "O_CREATE", "O_EXCL", "O_APPEND", "O_TRUNC", "File",
	"FileMode", "FileInfo", "PathError", "LinkError", "ErrNotExist",
	"IsPathSeparator", "PathSeparator", "Getpid", "Geteuid", "Getegid", "Getenv", "NewSyscallError",
	"SyscallError",
	// path/filepath
	"Join", "Base", "Dir", "Ext", "Clean", "Rel", "Abs", "IsAbs", "IsLocal", "FromSlash", "ToSlash",
	"Split", "Separator",
	// durable
	"InUse", "IsFull", "ErrUnsupported", "ErrLocked", "SetTime",
}

func TestFoldersOfOthersAreReachedByHandles(t *testing.T) {
	looked := 0
	for _, room := range handled {
		entries, err := os.ReadDir(filepath.Join("../..", room))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if name := e.Name(); strings.HasSuffix(name, ".go") &&
				!strings.HasSuffix(name, "_test.go") {
				looked++
				for _, found := range byPath(t, filepath.Join("../..", room, name), nil) {
					t.Errorf("%s: use internal/beneath: another account may have put a link there",
						found)
				}
			}
		}
	}
	if looked < 40 {
		t.Errorf("only %d files are looked at", looked)
	}
}

// byPath lists the uses, in a file, of packages that reach files by their paths.
func byPath(t *testing.T, path string, text any) (found []string) {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, text, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		use, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		from, ok := use.X.(*ast.Ident)
		if !ok || from.Obj != nil { // a variable of that name
			return true
		}
		switch from.Name {
		case "os", "filepath", "durable", "ioutil", "syscall", "unix", "windows":
		default:
			return true
		}
		if from.Name == "syscall" || from.Name == "unix" || from.Name == "windows" {
			if name := use.Sel.Name; !slices.Contains(pathCalls, name) {
				return true
			}
		} else if slices.Contains(pathless, use.Sel.Name) {
			return true
		}
		found = append(found, fmt.Sprintf("%s: %s.%s", set.Position(n.Pos()), from.Name,
			use.Sel.Name))
		return true
	})
	return found
}

// pathCalls are system calls that take a path.
var pathCalls = []string{"Open", "Openat", "Openat2", "Creat", "Stat", "Lstat", "Unlink", "Rmdir",
	"Mkdir", "Rename", "Renameat2", "Link", "Symlink", "Chmod", "Chown",
	"Lchown", "Truncate", "Utimes", "UtimesNano", "Mkfifo", "Mknod", "CreateFile", "DeleteFile",
	"MoveFile", "MoveFileEx", "CreateDirectory", "RemoveDirectory",
	"GetFileAttributes", "SetFileAttributes"}

// A rule that cannot be broken is no rule.
func TestPathsAreFound(t *testing.T) {
	for call, bad := range map[string]bool{
		`os.Open("x")`: true, `os.WriteFile("x", nil, 0)`: true, `filepath.WalkDir("x", nil)`: true,
		`durable.SyncDir("x")`: true, `os.RemoveAll("x")`: true,
		`unix.Rename("x", "y")`: true, `windows.CreateFile(nil, 0, 0, nil, 0, 0, 0)`: true,
		`filepath.Join("x", "y")`: false, `durable.InUse(nil)`: false,
		`unix.FcntlInt(0, 0, 0)`: false, `dir.Open("x")`: false,
	} {
		if found := byPath(t, "x.go", "package x\nfunc f() { "+call+" }"); (len(found) > 0) != bad {
			t.Errorf("%s: %v", call, found)
		}
	}
}
