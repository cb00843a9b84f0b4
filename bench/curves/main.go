// Curves draws the cost of the spool's operations against its size, as measured by TestMillion:
//
//	export SEALPOST_SOAK=1 SEALPOST_CURVES=$PWD/docs/spool-curves.csv
//	go test -run TestMillion ./spool/badgerspool
//	go run ./bench/curves docs/spool-curves.csv > docs/spool-curves.svg
package main

import (
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"strconv"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "curves:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	if len(args) != 1 {
		return fmt.Errorf("want one file of measurements")
	}
	f, err := os.Open(args[0])
	if err != nil {
		return err
	}
	defer f.Close()
	points, err := read(f)
	if err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	_, err = io.WriteString(out, draw(points))
	return err
}

// point is one measurement.
type point struct {
	op, story string
	at        float64 // waiting or settled deliveries
	cost      float64 // microseconds
}

func read(r io.Reader) (points []point, err error) {
	table := csv.NewReader(r)
	table.Comma = ';'
	table.FieldsPerRecord = 4
	rows, err := table.ReadAll()
	if err != nil {
		return nil, err
	}
	for i, row := range rows {
		if i == 0 {
			continue // the names of the columns
		}
		at, bad := strconv.ParseFloat(row[2], 64)
		cost, worse := strconv.ParseFloat(row[3], 64)
		if bad != nil || worse != nil || at < 1 {
			return nil, fmt.Errorf("line %d: %q", i+1, row)
		}
		points = append(points, point{row[0], row[1], at, cost})
	}
	if len(points) == 0 {
		return nil, fmt.Errorf("there is nothing to draw")
	}
	return points, nil
}
