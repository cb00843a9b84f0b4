package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"
)

// prepare returns the prepared statement of a query. Queries are constants, so their number is
// limited.
func (tx *Tx) prepare(query string) (*sql.Stmt, error) {
	if s := tx.stmts[query]; s != nil {
		return s, nil
	}
	s, err := tx.conn.PrepareContext(context.Background(), query)
	if err == nil {
		tx.stmts[query] = s
	}
	return s, err
}

func (tx *Tx) exec(query string, args ...any) error {
	_, err := tx.do(query, args...)
	return err
}

// do runs a prepared statement.
func (tx *Tx) do(query string, args ...any) (sql.Result, error) {
	s, err := tx.prepare(query)
	if err != nil {
		return nil, err
	}
	return s.Exec(args...)
}

// change runs a statement and returns the number of changed rows.
func (tx *Tx) change(query string, args ...any) (int64, error) {
	res, err := tx.do(query, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// row scans the one row of a query, or returns ErrNotFound.
func (tx *Tx) row(query string, args []any, dest ...any) error {
	s, err := tx.prepare(query)
	if err != nil {
		return err
	}
	err = s.QueryRow(args...).Scan(dest...)
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	return err
}

// rows calls scan for each row of a query.
func (tx *Tx) rows(query string, args []any, scan func(*sql.Rows) error) error {
	s, err := tx.prepare(query)
	if err != nil {
		return err
	}
	rows, err := s.Query(args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// list encodes names or numbers as a parameter of json_each. One statement for all of them costs a
// fraction of one each.
func list[T ~string | ~int64](values []T) string {
	text, _ := json.Marshal(values) // strings and numbers never fail
	return string(text)
}

// millis returns a time in the ledger's form: milliseconds since 1970, 0 for none.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// fromMillis is the reverse of millis, in UTC.
func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
