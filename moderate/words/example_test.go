package words_test

import (
	"fmt"
	"strings"

	"github.com/liveim/im/moderate/words"
)

const list = `# one entry a line; the fields are separated by tabs
加微信	block	advert
jwx	block	advert	whole
idiot	mask	abuse	whole repeats
free gift	hold	advert
idiot proof	allow
`

// A list is read from a file, and read again when it changes; messages are checked meanwhile.
func Example() {
	var live words.Live
	if err := live.Load(strings.NewReader(list)); err != nil {
		fmt.Println(err)
		return
	}
	for _, text := range []string{
		"good evening",
		"want more? 加。微 信",
		"what an ＩＤ10Ｔ!!",
		"this is idiot-proof",
		"a FREE g1ft for you",
	} {
		f := live.Filter()
		switch v := f.Check(text); v.Action {
		case words.Block, words.Hold:
			fmt.Printf("%v, %s: found %q\n", v.Action, v.Match.Word.Label, text[v.Match.Start:v.Match.End])
		default:
			fmt.Println("shown:", f.Mask(text))
		}
	}
	// Output:
	// shown: good evening
	// block, advert: found "加。微 信"
	// shown: what an *****!!
	// shown: this is idiot-proof
	// hold, advert: found "FREE g1ft"
}
