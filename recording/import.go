package recording

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/liveim/im"
)

// Options are the optional parts of [Import]. The zero value is good.
type Options struct {
	// Start is when the recording is to have begun: the first event of JSON Lines is then, and the time 0
	// of a recording of danmaku. Defaults to when the events happened, and for danmaku, of
	// which that is not known, to so long ago that the last one is now.
	Start time.Time
	// Kind is the kind of danmaku from recordings that name none. Defaults to im.Danmaku.
	Kind im.Kind
	// Longest bounds a line, and a text or an element of XML, in bytes. Defaults to 64 KiB.
	Longest int
	// Events bounds the recording. Defaults to 1,000,000. Danmaku of recordings that name no
	// events are sorted by time before the first is stored, and take about 400 bytes of memory each meanwhile.
	Events int
}

// Report is what [Import] did.
type Report struct {
	Start      time.Time // when the recording began, as events of the room have it
	Events     int       // that were stored
	Duplicates int       // that were there already
	// Conflicts is how many were not stored because their id stands for something else. A hub that
	// was restarted without im.Options.Secret cannot tell its own events from such ones.
	Conflicts int
	// Skipped is how many mean nothing in another room, or to people: changes of modes, rulings of
	// moderators, blank texts, and programs for one player.
	Skipped int
}

// Import reads a recording of either format, which it tells apart by the first character, into a
// room, best a new one: see im.Room.Import. Times keep their distances. Ids of events are those of the recording, or hashes of
// what it says, so importing the same file twice has one effect, for as long as the room's log remembers ids.
//
// An error names the line. Events of JSON Lines before it are stored then, and of other recordings none
// but those of complete batches; mend the file and import it again. Compressed files are refused. o may be nil.
func Import(ctx context.Context, room *im.Room, r io.Reader, o *Options) (Report, error) {
	in := &importer{ctx: ctx, room: room}
	if o != nil {
		in.o = *o
	}
	in.o.Kind = cmp.Or(in.o.Kind, im.Danmaku)
	in.o.Longest = cmp.Or(in.o.Longest, 64<<10)
	in.o.Events = cmp.Or(in.o.Events, 1_000_000)
	if in.o.Longest < 0 || in.o.Events < 0 {
		return Report{}, fmt.Errorf("recording: Options.Longest is %d and Events %d: want positive numbers, or 0 for the defaults", in.o.Longest, in.o.Events)
	}
	in.report.Start = in.o.Start
	if err := in.run(r); err != nil {
		return in.report, fmt.Errorf("recording: %w", err)
	}
	return in.report, nil
}

type importer struct {
	ctx    context.Context
	room   *im.Room
	o      Options
	report Report

	seen   int
	batch  []*im.Event
	lines  []int // of batch
	latest time.Time
}

// run reads in whichever format it is.
func (in *importer) run(r io.Reader) error {
	br := bufio.NewReader(r)
	if bom, _ := br.Peek(3); string(bom) == "\ufeff" {
		_, _ = br.Discard(3) // cannot fail: they were peeked at
	}
	// The blanks are looked past, not read: the readers count lines.
	head, err := br.Peek(1024)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	switch head = trimBlank(head); {
	case len(head) == 0:
		return errors.New("the file is empty")
	case head[0] == '<':
		return in.readXML(newXMLReader(br, in.o.Longest))
	case head[0] == '{':
		return in.readLines(newLineReader(br, in.o.Longest))
	case head[0] == 0x1f:
		return errors.New("the file is compressed: decompress it first")
	}
	return fmt.Errorf("the file starts with %q: want JSON Lines ('{') or Bilibili XML ('<')", head[:1])
}

func trimBlank(b []byte) []byte { return bytes.Trim(b, " \t\r\n") }

func (in *importer) readXML(r *xmlReader) error {
	var all []comment
	for {
		c, ok, err := r.next()
		if err != nil {
			return err
		}
		if !ok {
			return in.comments(all)
		}
		if err := in.count(); err != nil {
			return lineError(c.line, err)
		}
		all = append(all, c)
	}
}

// readLines reads lines, all of the shape of the first one.
func (in *importer) readLines(r *lineReader) error {
	var all []comment
	var shift time.Duration
	for {
		l, err := r.next()
		if err != nil {
			return err
		}
		if l == nil {
			return cmp.Or(in.flush(), in.comments(all))
		}
		if err := in.count(); err != nil {
			return lineError(r.n, err)
		}
		if in.seen > 1 && (l.T != nil) != (len(all) > 0) {
			return lineError(r.n, errors.New("events and danmaku without an event's fields are mixed: import them as two files"))
		}
		if l.T != nil {
			c := l.comment()
			c.line = r.n
			if err := c.check(); err != nil {
				return lineError(r.n, err)
			}
			all = append(all, c)
			continue
		}
		e := l.event()
		if in.seen == 1 {
			if in.report.Start.IsZero() {
				in.report.Start = e.At
			}
			shift = in.report.Start.Sub(e.At)
		}
		e.At = e.At.Add(shift)
		if err := in.add(e, r.n); err != nil {
			return err
		}
	}
}

func (in *importer) count() error {
	if in.seen++; in.seen > in.o.Events {
		return fmt.Errorf("more than %d events; Options.Events allows more", in.o.Events)
	}
	return nil
}

// comments adds danmaku in the order of their times, each under an id of its own.
func (in *importer) comments(all []comment) error {
	if len(all) == 0 {
		return nil
	}
	again := map[string]int{}
	for i := range all {
		id := all[i].identity(0)
		if n := again[id]; n > 0 {
			all[i].id = all[i].identity(n)
		} else {
			all[i].id = id
		}
		again[id]++
	}
	slices.SortStableFunc(all, func(a, b comment) int { return cmp.Compare(a.seconds, b.seconds) })
	if in.report.Start.IsZero() {
		in.report.Start = time.Now().Add(-all[len(all)-1].offset()).Truncate(time.Millisecond)
	}
	for i := range all {
		c := &all[i]
		if !c.shown() {
			in.report.Skipped++
			continue
		}
		e, err := c.event(in.o.Kind, in.report.Start)
		if err != nil {
			return lineError(c.line, err)
		}
		if err := in.add(e, c.line); err != nil {
			return err
		}
	}
	return in.flush()
}

// add stores an event, some time before flush returns.
func (in *importer) add(e *im.Event, line int) error {
	const most = 500
	if !im.CanImport(e) {
		in.report.Skipped++
		return nil
	}
	if e.At.After(in.latest) {
		in.latest = e.At
	}
	// The room checks the order within a batch only.
	if slack := 10 * time.Second; in.latest.Sub(e.At) > slack {
		return lineError(line, fmt.Errorf("%v earlier than an event before it: sort the file by time", in.latest.Sub(e.At)))
	}
	in.batch, in.lines = append(in.batch, e), append(in.lines, line)
	if len(in.batch) < most {
		return nil
	}
	return in.flush()
}

func (in *importer) flush() error {
	if len(in.batch) == 0 {
		return nil
	}
	results, err := in.room.Import(in.ctx, in.batch)
	if refusal, ok := errors.AsType[*im.Error](err); ok && refusal.Code.Retry() == im.RetryNever {
		return in.blame(err)
	}
	if err != nil {
		return fmt.Errorf("lines %d to %d: %w", in.lines[0], in.lines[len(in.lines)-1], err)
	}
	for _, a := range results {
		switch a.Status {
		case im.Stored:
			in.report.Events++
		case im.Duplicate:
			in.report.Duplicates++
		case im.Conflict:
			in.report.Conflicts++
		}
	}
	in.batch, in.lines = in.batch[:0], in.lines[:0]
	return nil
}

// blame finds the line for which a batch was refused, by importing its events one by one: none has
// an effect twice.
func (in *importer) blame(err error) error {
	for i, e := range in.batch {
		if _, err := in.room.Import(in.ctx, []*im.Event{e}); err != nil {
			return lineError(in.lines[i], err)
		}
	}
	return err
}
