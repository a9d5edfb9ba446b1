package replay

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// Profile says what [Generate] makes up. The zero value is a lively five
// minutes.
type Profile struct {
	// Seed selects the recording: equal profiles give equal recordings.
	Seed uint64
	// Duration is how long it is. Defaults to 5 minutes; up to a day.
	Duration time.Duration
	// Rate is the mean number of comments a second, bursts included. Defaults
	// to 4; up to 10,000.
	Rate float64
	// Users is how many people there are, of whom a few write much and most
	// write little. Defaults to 300.
	Users int
	// Between is the mean time from one goal to the next. Defaults to 40 s.
	Between time.Duration
}

func (p Profile) withDefaults() Profile {
	p.Duration = min(cmp.Or(max(p.Duration, 0), 5*time.Minute), 24*time.Hour)
	p.Rate = min(cmp.Or(max(p.Rate, 0), 4), 10_000)
	p.Users = cmp.Or(max(p.Users, 0), 300)
	p.Between = max(cmp.Or(p.Between, 40*time.Second), time.Second)
	return p
}

const (
	genStep   = 100 * time.Millisecond
	burstPeak = 14.0            // times the calm rate
	burstFade = 5 * time.Second // to 1/e
)

// Generate makes up a recording of a match: a calm stream of remarks, and
// bursts of the same few shouts when something happens. It holds at least one
// item.
func Generate(p Profile) []Item {
	p = p.withDefaults()
	g := newGenerator(p)
	weight, scene := g.script()
	total := 0.0
	for _, w := range weight {
		total += w
	}
	want := p.Rate * p.Duration.Seconds()
	var items []Item
	for i, w := range weight {
		for range g.poisson(want * w / total) {
			at := time.Duration(i)*genStep + time.Duration(g.Int64N(int64(genStep)))
			items = append(items, g.item(min(at, p.Duration), scene[i]))
		}
	}
	if len(items) == 0 {
		items = append(items, g.item(0, 0))
	}
	slices.SortStableFunc(items, func(a, b Item) int { return cmp.Compare(a.At, b.At) })
	return items
}

type generator struct {
	*rand.Rand
	p     Profile
	users *rand.Zipf
}

func newGenerator(p Profile) *generator {
	r := rand.New(rand.NewPCG(p.Seed, 0x696d))
	return &generator{Rand: r, p: p, users: rand.NewZipf(r, 1.2, 8, uint64(p.Users-1))}
}

// script decides what happens: for each step the relative rate of comments,
// and the number of the scene (an index into shouts plus one) that people
// shout about, or 0 while it is calm.
func (g *generator) script() (weight []float64, scene []int) {
	steps := int((g.p.Duration + genStep - 1) / genStep)
	weight, scene = make([]float64, steps), make([]int, steps)
	fade := math.Exp(-float64(genStep) / float64(burstFade))
	// The first goal is not long in coming, however short the recording.
	next := g.ExpFloat64() * min(g.p.Between.Seconds(), g.p.Duration.Seconds()) / 2
	excitement, now := 0.0, 0
	for i := range steps {
		t := (time.Duration(i) * genStep).Seconds()
		if t >= next {
			excitement = burstPeak * (0.5 + g.Float64())
			now = 1 + g.IntN(len(shouts))
			next = t + g.ExpFloat64()*g.p.Between.Seconds()
		}
		wave := 1 + 0.4*math.Sin(2*math.Pi*t/47)
		weight[i] = wave + excitement
		if scene[i] = now; excitement < 1 {
			scene[i] = 0
		}
		excitement *= fade
	}
	return weight, scene
}

// item writes one comment.
func (g *generator) item(at time.Duration, scene int) Item {
	it := Item{At: at, Mode: ModeScroll, Size: defaultSize, Color: defaultColor, User: g.user()}
	switch {
	case scene > 0 && g.IntN(10) < 8:
		it.Text = g.zipfPick(shouts[scene-1])
	case g.IntN(10) < 4:
		it.Text = g.zipfPick(refrains)
	default:
		it.Text = g.remark()
	}
	if g.IntN(5) == 0 {
		it.Color = colors[g.IntN(len(colors))]
	}
	switch g.IntN(60) {
	case 0, 1:
		it.Mode = ModeTop
	case 2:
		it.Mode = ModeBottom
	}
	switch g.IntN(40) {
	case 0:
		it.Size = 36
	case 1, 2:
		it.Size = 18
	}
	return it
}

// user picks a sender: few people write most of the comments.
func (g *generator) user() string {
	n := g.users.Uint64()
	return fmt.Sprintf("u%08x", uint32((n+1)*0x9e3779b1)) // odd factor: names stay distinct
}

// zipfPick takes the first of the texts most often.
func (g *generator) zipfPick(texts []string) string {
	i := int(float64(len(texts)) * math.Pow(g.Float64(), 2))
	text := texts[i]
	if g.IntN(6) == 0 {
		return text + marks[g.IntN(len(marks))]
	}
	return text
}

// remark puts together a text that is seldom seen twice.
func (g *generator) remark() string {
	pick := func(s []string) string { return s[g.IntN(len(s))] }
	switch g.IntN(6) {
	case 0:
		return fmt.Sprintf("%d比%d了？", g.IntN(4), g.IntN(4))
	case 1:
		return fmt.Sprintf("来自%s的第%d个观众", pick(places), 1+g.IntN(9999))
	case 2:
		return fmt.Sprintf("%d号%s", 1+g.IntN(30), pick(deeds))
	default:
		return pick(subjects) + pick(deeds) + pick(endings)
	}
}

// poisson draws the number of comments in a step from the mean.
func (g *generator) poisson(mean float64) int {
	if mean > 30 { // close enough to normal, and exp(-mean) would get small
		return max(0, int(math.Round(mean+math.Sqrt(mean)*g.NormFloat64())))
	}
	limit, n, product := math.Exp(-mean), 0, g.Float64()
	for product > limit {
		n++
		product *= g.Float64()
	}
	return n
}
