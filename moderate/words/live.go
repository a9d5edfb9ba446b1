package words

import (
	"io"
	"sync/atomic"
)

// Live is a filter that can be replaced while it is in use, so that a list is reloaded
// without a restart. The zero value finds nothing. It is safe for concurrent use and must not be copied.
//
// A message that is being checked is checked by one list to the end.
type Live struct {
	current atomic.Pointer[Filter]
}

// Replace puts a filter in the place of the current one. With nil nothing is found any more.
func (l *Live) Replace(f *Filter) { l.current.Store(f) }

// Load reads a list, as [ReadList] does, and puts it in the place of the current one. On an error
// the current one stays.
func (l *Live) Load(r io.Reader) error {
	list, err := ReadList(r)
	if err != nil {
		return err
	}
	f, err := Compile(list)
	if err != nil {
		return err
	}
	l.Replace(f)
	return nil
}

// Filter returns the current filter; nil, which finds nothing, if there is none.
func (l *Live) Filter() *Filter { return l.current.Load() }

// Check is [Filter.Check] of the current filter. Who calls Mask after it takes one
// [Live.Filter] for both.
func (l *Live) Check(text string) Verdict { return l.Filter().Check(text) }
