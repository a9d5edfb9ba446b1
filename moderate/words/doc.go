// Package words is a word filter for chat: it finds the entries of a list in a message,
// however the sender spaced, decorated or misspelt them, in one pass over the message.
//
//	f, err := words.Compile([]words.Word{
//		{Text: "加微信", Action: words.Block, Label: "advert"},
//		{Text: "ass", Action: words.Mask, WholeWord: true},
//	})
//	...
//	switch v := f.Check(text); v.Action {
//	case words.Block: // refuse it, v.Match.Word says why
//	case words.Hold: // let a moderator decide
//	case words.Mask:
//		text = f.Mask(text)
//	}
//
// # What is the same
//
// Words and messages are compared by what a reader takes them for:
//
//   - Width, font and case do not count: "Ｖ", "𝐯", "ⓥ" and "V" are v (NFKD, small letters).
//   - Accents and other marks do not count: é is e, composed or not. The sound marks of
//     kana and the vowels of Thai and the Indic scripts do.
//   - Letters of other scripts count as the Latin letter that they look like, by a
//     subset of the confusables of Unicode Technical Standard #39.
//   - Blanks, line breaks, invisible characters, punctuation and symbols, emoji included, do not
//     count, however many. But a word of the list that has punctuation or symbols is compared with them, as "t.me" is.
//   - A digit counts as the letter that it looks like (0 o, 1 i l, 3 e, 4 a, 5 s, 7 t, 8 b,
//     9 g) and the other way round, as long as no more than half of a match is such a
//     replacement and the digit is no part of a number: "58" and "15b" are not "sb", "5b" is.
//   - Of the symbols @ $ and € beside a Latin letter, and ! and | between two, count as
//     a letter (a s e i l) as well as nothing.
//   - Where the entry says Repeats, a letter may stand more often than the word has it.
//
// Simplified and traditional characters are different, and so are a word and its pinyin, or the
// initials of it: list each form that shall be found.
package words

// Action is what shall happen to a message with the word in it. The zero value is for
// messages without any; no [Word] may have it. A greater one is more severe.
type Action uint8

// The actions, in the order of severity.
const (
	None  Action = iota
	Allow        // an exception: no match inside of this one counts
	Mask         // the message is shown with stars in the place of the word
	Hold         // the message waits for a moderator
	Block        // the message is refused
)

// String returns the name that lists use, such as "mask".
func (a Action) String() string {
	if int(a) < len(actionNames) {
		return actionNames[a]
	}
	return "unknown"
}

var actionNames = [...]string{None: "none", Allow: "allow", Mask: "mask", Hold: "hold", Block: "block"}

// Word is an entry of a list.
type Word struct {
	// Text is the word. It must have at least one letter, digit or symbol and at most MaxLength of
	// them; blanks in it count for WholeWord only.
	Text string
	// Action is what to do where it is found. Required.
	Action Action
	// Label says what the entry is about, such as "advert". The filter does nothing with it.
	Label string
	// WholeWord keeps "ass" from being found in "class": where the match begins or ends with a letter,
	// no letter may stand beside it, and no digit beside a digit. Ideographs, kana and Hangul are not
	// letters for this, so "vx" is found in "加vx吧". Blanks inside the match are allowed where
	// Text has some, or else between all of the letters: "p e n" is found, and "pen" not in "hope nothing".
	WholeWord bool
	// Repeats finds "fuuuck" for "fuck".
	Repeats bool
}

// MaxLength is how many letters the Text of a word may have after the fold.
const MaxLength = 64

// Match is one place where a word was found.
type Match struct {
	// Start and End are byte offsets into the message: text[Start:End] is what was
	// found, with all that stands between its letters and the marks on the last one. They lie between
	// runes.
	Start, End int
	// Word is the entry. It is not to be changed.
	Word *Word
}

// Verdict is what a filter says about a message. The zero value lets it pass.
type Verdict struct {
	// Action is the most severe one of all matches; None if there are none.
	Action Action
	// Match is one with that action: the longest, and of these the first.
	Match Match
}
