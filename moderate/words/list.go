package words

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// maxLine is the longest line of a list in bytes.
const maxLine = 4096

// ReadList reads a list from a text file in UTF-8: one entry a line, of fields between tabs,
//
//	word [action [label [options]]]
//
// where the action is block (the default), hold, mask or allow, and the options are whole and repeats,
// with blanks between them. Empty lines and lines that begin with # are passed over; a word that begins with # is written with \#.
//
//	# adverts
//	加微信	block	advert
//	ass	mask	abuse	whole repeats
//	微信支付	allow
//
// An error names the line that is at fault.
func ReadList(r io.Reader) ([]Word, error) {
	var list []Word
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, maxLine), maxLine)
	n := 0
	for lines.Scan() {
		n++
		line := strings.TrimRight(lines.Text(), " \t\r")
		if n == 1 {
			line = strings.TrimPrefix(line, "\ufeff") // what some editors begin a file with
		}
		if line == "" || line[0] == '#' {
			continue
		}
		w, err := parseWord(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		list = append(list, w)
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return nil, fmt.Errorf("line %d: it is longer than %d bytes; put one word on each line", n+1, maxLine)
	case err != nil:
		return nil, fmt.Errorf("line %d: %w", n+1, err)
	}
	return list, nil
}

func parseWord(line string) (Word, error) {
	if !utf8.ValidString(line) {
		return Word{}, errors.New("it is not UTF-8; save the file in that encoding")
	}
	fields := strings.Split(line, "\t")
	if len(fields) > 4 {
		return Word{}, fmt.Errorf("it has %d fields; a word, an action, a label and options are all that there is", len(fields))
	}
	for i := range fields {
		fields[i] = strings.TrimSpace(fields[i])
	}
	fields = append(fields, "", "", "")
	w := Word{Text: fields[0], Action: Block, Label: fields[2]}
	if strings.HasPrefix(w.Text, `\#`) {
		w.Text = w.Text[1:]
	}
	if name := fields[1]; name != "" {
		if w.Action = actionOf(name); w.Action == None {
			return Word{}, fmt.Errorf("there is no action %q; use block, hold, mask or allow", name)
		}
	}
	for option := range strings.FieldsSeq(fields[3]) {
		switch option {
		case "whole":
			w.WholeWord = true
		case "repeats":
			w.Repeats = true
		default:
			return Word{}, fmt.Errorf("there is no option %q; use whole or repeats", option)
		}
	}
	form, _ := lettersOf(w.Text, true)
	if err := w.validate(form); err != nil {
		return Word{}, fmt.Errorf("%q: %w", w.Text, err)
	}
	return w, nil
}

func actionOf(name string) Action {
	for a := Allow; a <= Block; a++ {
		if name == a.String() {
			return a
		}
	}
	return None
}
