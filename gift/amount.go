package gift

import (
	"fmt"
	"math"
	"math/bits"
	"unicode"
	"unicode/utf8"

	"github.com/liveim/im"
)

// MaxAmount is the largest amount of an order: 2^53-1 minor units, which JavaScript can hold.
const MaxAmount = 1<<53 - 1

// times returns price × count, or false if that is not an amount.
func times(price, count int64) (int64, bool) {
	if price < 1 || count < 1 {
		return 0, false
	}
	hi, lo := bits.Mul64(uint64(price), uint64(count))
	if hi != 0 || lo > MaxAmount {
		return 0, false
	}
	return int64(lo), true
}

// addSum adds to the total of a giver. A total that would not fit stays at the largest number for good.
func addSum(total, amount int64) int64 {
	if total == math.MaxInt64 || amount > 0 && total > math.MaxInt64-amount {
		return math.MaxInt64
	}
	return max(total+amount, 0)
}

// refuse makes a refusal that the client sees.
func refuse(code im.Code, format string, args ...any) *im.Error {
	return &im.Error{Code: code, Reason: fmt.Sprintf(format, args...)}
}

// validText reports whether s is up to most bytes of UTF-8 without control characters.
func validText(s string, most int) bool {
	if len(s) > most || !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if unicode.IsControl(r) {
			return false
		}
	}
	return true
}
