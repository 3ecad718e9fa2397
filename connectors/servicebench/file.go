package servicebench

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"ringback/callback"
	"ringback/connectors/plain"
)

// row is one row of a file: an exception, or why it is none.
type row struct {
	// Line is that on which it begins, from 1.
	Line int
	// Fields are its values; nil where it could not be taken apart. Raw is what is there.
	Fields []string
	Raw    string
	X      *Exception
	// Wrong says what is, without repeating it; empty: nothing.
	Wrong string
}

// rejected are the columns that a reject file has besides: a file that is dropped
// again after it was put right may have them still.
var rejected = []string{"rejected_line", "rejected_reason", "rejected_row"}

const (
	// maxFile bounds a file, maxRow one row.
	maxFile = 64 << 20
	maxRow  = 64 << 10
)

// columns are those of files: an exception's members, with its customer's behind
// "customer_"; and how their value is written as JSON.
func columns() map[string]func(value string, zone *time.Location) (any, error) {
	known := map[string]func(string, *time.Location) (any, error){}
	for _, m := range members {
		if m.name != "customer" {
			known[m.name] = asText
		}
	}
	known["created_at"], known["updated_at"] = asTime, asTime
	for _, m := range customerMembers {
		known["customer_"+m.name] = asText
	}
	known["customer_phones"] = func(value string, _ *time.Location) (any, error) {
		return strings.FieldsFunc(value, func(r rune) bool { return r == ';' || r == '|' || r == '\n' }), nil
	}
	return known
}

func asText(value string, _ *time.Location) (any, error) { return value, nil }

// localLayouts are times without an offset, as systems export them.
var localLayouts = []string{"2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999", "2006-01-02T15:04", "2006-01-02 15:04"}

func asTime(value string, zone *time.Location) (any, error) {
	value = strings.TrimSpace(value)
	if value == "" {
		return nil, nil
	}
	if t, err := time.Parse(time.RFC3339Nano, value); err == nil {
		return callback.At(t), nil
	}
	for _, layout := range localLayouts {
		t, err := time.ParseInLocation(layout, value, orUTC(zone))
		switch {
		case err != nil:
		case zone == nil:
			return nil, errors.New("expected a time with an offset, since no time_zone is configured")
		default:
			return callback.At(t), nil
		}
	}
	return nil, errors.New(`expected a time like "2026-11-22T10:00:00Z"`)
}

func orUTC(zone *time.Location) *time.Location {
	if zone == nil {
		return time.UTC
	}
	return zone
}

// read reads a file row by row. The header says what each column is; the error is
// about the file as a whole, and nothing was read then.
func read(data []byte, zone *time.Location) (header []string, rows []row, err error) {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	first, _, _ := bytes.Cut(data, []byte("\n"))
	r := csv.NewReader(bytes.NewReader(data))
	r.Comma = separator(string(first))
	r.TrimLeadingSpace = r.Comma != '\t'
	header, err = r.Read()
	if err != nil {
		return nil, nil, errors.New("expected a first row with the names of the columns")
	}
	known := columns()
	for i, column := range header {
		column = strings.ReplaceAll(strings.ToLower(strings.TrimSpace(column)), "customer.", "customer_")
		if known[column] == nil && !slices.Contains(rejected, column) {
			return nil, nil, fmt.Errorf("column %d has a name that is not known", i+1)
		}
		if slices.Contains(header[:i], column) {
			return nil, nil, fmt.Errorf("column %d is there twice", i+1)
		}
		header[i] = column
	}
	counted, lines := int64(0), 1
	for {
		start := r.InputOffset()
		lines += bytes.Count(data[counted:start], []byte("\n"))
		counted = start
		line := lines
		fields, err := r.Read()
		if errors.Is(err, io.EOF) {
			return header, rows, nil
		}
		raw := string(data[start:r.InputOffset()])
		line += strings.Count(raw[:len(raw)-len(strings.TrimLeft(raw, "\r\n"))], "\n")
		one := row{Line: line, Raw: plain.Cut(strings.Trim(raw, "\r\n"), maxRow)}
		var broken *csv.ParseError
		switch {
		case len(raw) > maxRow:
			one.Wrong = fmt.Sprintf("the row is longer than %d bytes; is a quote missing?", maxRow)
		case errors.Is(err, csv.ErrFieldCount):
			one.Fields = fields
			one.Wrong = fmt.Sprintf("expected %d columns, and there are %d", len(header), len(fields))
		case errors.As(err, &broken):
			one.Wrong = "the quotes do not match"
		case err != nil:
			return nil, nil, err
		default:
			one.Fields = fields
			one.X, one.Wrong = exception(header, fields, known, zone)
		}
		rows = append(rows, one)
	}
}

// separator is what parts the columns: a comma, or what there is instead.
func separator(header string) rune {
	for _, r := range []rune{',', ';', '\t'} {
		if strings.ContainsRune(header, r) {
			return r
		}
	}
	return ','
}

// exception makes an exception of a row, or says what is wrong.
func exception(
	header, fields []string, known map[string]func(string, *time.Location) (any, error), zone *time.Location,
) (*Exception, string) {
	said, customer := map[string]any{"schema": Schema}, map[string]any{}
	for i, column := range header {
		convert := known[column]
		if convert == nil || fields[i] == "" {
			continue
		}
		if !utf8.ValidString(fields[i]) {
			return nil, column + ": expected UTF-8"
		}
		value, err := convert(fields[i], zone)
		if err != nil {
			return nil, column + ": " + err.Error()
		}
		if name, is := strings.CutPrefix(column, "customer_"); is {
			customer[name] = value
		} else {
			said[column] = value
		}
	}
	said["customer"] = customer
	body, err := json.Marshal(said)
	if err != nil {
		return nil, "it cannot be read"
	}
	x, err := Parse(body)
	var f *callback.Fault
	if errors.As(err, &f) {
		return nil, strings.Replace(f.Detail, "customer.", "customer_", 1)
	}
	return x, ""
}

// rejects writes the rows that are wrong as a file that can be put right and dropped again.
func rejects(header []string, rows []row) ([]byte, error) {
	var out bytes.Buffer
	w := csv.NewWriter(&out)
	own := slices.DeleteFunc(slices.Clone(header), func(c string) bool { return slices.Contains(rejected, c) })
	if err := w.Write(append(own, rejected...)); err != nil {
		return nil, err
	}
	for _, one := range rows {
		record := make([]string, 0, len(own)+len(rejected))
		for i, column := range header {
			if slices.Contains(rejected, column) {
				continue
			}
			if i < len(one.Fields) {
				record = append(record, one.Fields[i])
			} else {
				record = append(record, "")
			}
		}
		if err := w.Write(append(record, fmt.Sprint(one.Line), one.Wrong, one.Raw)); err != nil {
			return nil, err
		}
	}
	w.Flush()
	return out.Bytes(), w.Error()
}
