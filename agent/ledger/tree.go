package ledger

import (
	"database/sql"

	"sealpost/internal/id"
)

// TreeEntry is a file or folder in a message that is a folder.
type TreeEntry struct {
	Path   string // begins with the message's name; with slashes
	Dir    bool
	Source Source
}

// AddTree adds entries of a folder before it is sealed.
func (tx *Tx) AddTree(uid id.UID, list []TreeEntry) error {
	for _, e := range list {
		err := tx.exec("INSERT OR REPLACE INTO tree (uid, path, dir, size, mtime, file, "+
			"executable) VALUES (?,?,?,?,?,?,?)",
			uid, e.Path, e.Dir, e.Source.Size, e.Source.ModTime, e.Source.File, e.Source.Executable)
		if err != nil {
			return err
		}
	}
	return nil
}

// Tree lists a folder's entries after a path, in the byte order of their paths.
func (tx *Tx) Tree(uid id.UID, after string, limit int) ([]TreeEntry, error) {
	var list []TreeEntry
	err := tx.rows("SELECT path, dir, size, mtime, file, executable FROM tree WHERE uid = ? AND "+
		"path > ? ORDER BY path LIMIT ?",
		[]any{uid, after, limit}, func(rows *sql.Rows) error {
			e := TreeEntry{Source: Source{Entries: 1}}
			err := rows.Scan(&e.Path, &e.Dir, &e.Source.Size, &e.Source.ModTime, &e.Source.File,
				&e.Source.Executable)
			list = append(list, e)
			return err
		})
	return list, err
}

// DropTree deletes up to limit entries of a folder. It reports whether there may be more.
func (tx *Tx) DropTree(uid id.UID, limit int) (more bool, err error) {
	n, err := tx.change("DELETE FROM tree WHERE (uid, path) IN (SELECT uid, path FROM tree WHERE "+
		"uid = ? LIMIT ?)", uid, limit)
	return n == int64(limit), err
}
