package replay

import (
	"reflect"
	"testing"
	"time"
)

func TestGenerate(t *testing.T) {
	p := Profile{Seed: 7, Duration: 10 * time.Minute, Rate: 10}
	items := Generate(p)
	checkItems(t, items, nil)

	if again := Generate(p); !reflect.DeepEqual(items, again) {
		t.Error("the same profile gave another recording")
	}
	p.Seed++
	if other := Generate(p); reflect.DeepEqual(items, other) {
		t.Error("another seed gave the same recording")
	}
	if n := len(items); n < 5500 || n > 6500 {
		t.Errorf("%d comments, want about 6000", n)
	}
	if last := items[len(items)-1].At; last > p.Duration {
		t.Errorf("the last comment is at %v, after the end", last)
	}
}

// TestGenerateIsLikeACrowd checks the traits that flow control must cope with.
func TestGenerateIsLikeACrowd(t *testing.T) {
	items := Generate(Profile{Seed: 1, Duration: 10 * time.Minute, Rate: 10})
	second, text, user := map[time.Duration]int{}, map[string]int{}, map[string]int{}
	for _, it := range items {
		second[it.At.Truncate(time.Second)]++
		text[it.Text]++
		user[it.User]++
	}
	if peak := maxCount(second); peak < 40 {
		t.Errorf("the busiest second has %d comments, want a burst of at least 4 times the mean", peak)
	}
	if peak := maxCount(text); peak < len(items)/50 {
		t.Errorf("the most repeated text comes %d times in %d, want at least 2 %%", peak, len(items))
	}
	if len(text) < len(items)/10 {
		t.Errorf("%d different texts in %d, want at least a tenth", len(text), len(items))
	}
	if peak := maxCount(user); peak < 5*len(items)/len(user) {
		t.Errorf("the busiest of %d users wrote %d of %d, want far more than the mean", len(user), peak, len(items))
	}
	if len(user) < 200 {
		t.Errorf("%d users, want most of the 300", len(user))
	}
}

func TestGenerateTakesOddProfiles(t *testing.T) {
	for _, p := range []Profile{
		{},
		{Duration: time.Nanosecond, Rate: 1e-9, Users: 1, Between: -1},
		{Duration: -1, Rate: -1, Users: -1},
		{Duration: time.Second, Rate: 1e12},
	} {
		checkItems(t, Generate(p), nil)
	}
}

func maxCount[K comparable](m map[K]int) int {
	most := 0
	for _, n := range m {
		most = max(most, n)
	}
	return most
}
