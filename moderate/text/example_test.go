package text_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/liveim/im/moderate/text"
)

// What disturbs is taken out, and what is too long is refused with a reason for the sender.
func ExamplePolicy() {
	p := text.Policy{MaxGraphemes: 20}
	clean, err := p.Apply("h\u0301\u0302\u0303\u0304\u0305\u0306i \u202ethere\u200b 👨\u200d👩\u200d👧")
	fmt.Printf("%+q %d %v\n", clean, text.Graphemes(clean), err)

	_, err = p.Apply("this one goes on for too long")
	var e *text.Error
	if errors.As(err, &e) && e.Problem == text.TooLong {
		fmt.Println(err)
	}
	// Output:
	// "h\u0301\u0302\u0303\u0304i there \U0001f468\u200d\U0001f469\u200d\U0001f467" 10 <nil>
	// the text has 29 characters, more than 20; make it shorter
}

// Nobody bears a name that looks like the host's.
func ExampleNames() {
	names := text.NewNames("Host", "小明主播")
	for _, name := range []string{"H0ѕt", "官方小明主播", "Hostess"} {
		like, taken := names.Taken(name)
		fmt.Printf("%s: %v %s\n", name, taken, like)
	}
	// Output:
	// H0ѕt: true Host
	// 官方小明主播: true 小明主播
	// Hostess: false
}

// Links are taken out, but for those to the host's own site.
func ExampleLinks() {
	links, err := text.NewLinks(&text.LinkOptions{Allow: []string{"example.com"}, Action: text.LinkStrip})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, message := range []string{
		"the rules: https://example.com/rules",
		"come to spam dot com now",
		"https://example.com@spam.ru/ really",
	} {
		out, action, first := links.Apply(message)
		fmt.Printf("%q %v %q\n", out, action == text.LinkStrip, first.Domain)
	}
	// Output:
	// "the rules: https://example.com/rules" false ""
	// "come to  now" true "spam.com"
	// " really" true "spam.ru"
}

// One user may say a thing three times in half a minute, whatever is changed about it.
func ExampleFlood() {
	flood, err := text.NewFlood(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	now := time.Unix(1_700_000_000, 0)
	for i, message := range []string{
		"Join the best guild on server nine",
		"join the best guild on server nine 1",
		"J o i n the best guild on ｓｅｒｖｅｒ nine!!!",
		"(join) the best guild on server nine, 2",
	} {
		v := flood.Check(now.Add(time.Duration(i)*time.Second), "room", "user", message)
		fmt.Println(v.Reason == text.FloodRepeat, v.Count, v.After)
	}
	// Output:
	// false 0 0s
	// false 0 0s
	// false 0 0s
	// true 4 27s
}
