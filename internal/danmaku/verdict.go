package danmaku

// Candidate is a comment that somebody wants to be shown.
type Candidate struct {
	Sender uint64 // the same for the same user
	Weight int    // 0 is ordinary; more is more important
	Key    uint64 // the same for texts that are the same to a reader; 0: merges with nothing
}

// Verdict is what becomes of an offer.
type Verdict uint8

const (
	Pass   Verdict = iota + 1 // it is shown now
	Wait                      // a later [Selection.Select] decides
	Merged                    // it was added to the count of an equal comment
	Shed                      // it is not shown
)

// Why says why a comment was shed.
type Why uint8

const (
	Crowded  Why = iota + 1 // so many wait that it got no place among them
	TooMany                 // too many of the same sender wait
	TooLate                 // it was not picked within MaxAge
	WhyCount                // none of them: how many there are
)

// Answer is what an offer gets. The pointers are good until the next call.
type Answer[V any] struct {
	Verdict Verdict
	// Value, of Wait, is where the owner puts what it wants back.
	Value *V
	// ID, unless it is nil, is where the owner puts the ID of the event that the
	// comment becomes, for those that are added to it.
	ID *string
	// Into, of Merged, is the ID of the comment that it was added to.
	Into string
	Why  Why // of Shed
}

// Decision is the fate of a comment that had to wait: Pass, Merged or Shed.
type Decision[V any] struct {
	Verdict Verdict
	Value   V
	Into    string // of Merged: the ID of the comment that it was added to
	Count   int    // of Pass: how many comments it stands for
	Why     Why    // of Shed
}

// Count is by how much an equal comment, shown before, has grown.
type Count struct {
	ID string
	N  int
}
