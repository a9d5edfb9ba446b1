package replay

import (
	"hash/maphash"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/liveim/im/internal/danmaku"
)

// result is what a run showed.
type result struct {
	offered, shown, merged, shed, refused float64 // a second
	most                                  int     // shown in any sliding second
	jain                                  float64 // between the ordinary senders of whom something was shed; 0: there are fewer than two
	senders                               int     // of these
	contended                             float64 // the same, of what was shown while something of others waited in vain
	distinct                              float64 // distinct texts that were shown a second
	goal                                  float64 // min(budget, distinct texts offered) a second
	newest, sample                        float64 // distinct texts a second by the baselines, at 40 a second
	fair                                  float64 // by a uniform sample of the whole budget
	disorder                              int     // messages shown before an earlier one of the same sender
	overtaken                             int     // heavier messages shed in a tick that showed a lighter one
	overload                              bool    // more was offered than the budget allows
	steady                                bool    // and in every second
}

// baselineRate is what cloud chatrooms show of a room a second, whatever is said.
const baselineRate = 40

func (r *run) measure(seed maphash.Seed) result {
	seconds := int(r.length / time.Second)
	per := func(n int) float64 { return float64(n) / float64(seconds) }
	count := map[string]int{}
	shed, shown := map[string]int{}, map[string]int{}
	offered := make([][]uint64, seconds) // keys of texts that the limits let through, by second
	for i := range r.messages {
		m := &r.messages[i]
		count[m.status]++
		if m.status == "refused" {
			continue
		}
		s := min(int(m.at/time.Second), seconds-1)
		offered[s] = append(offered[s], danmaku.Key(seed, m.text))
		if m.weight == 0 {
			if m.status == "shed" {
				shed[m.user]++
			}
			if m.shown >= 0 {
				shown[m.user]++
			}
		}
	}
	res := result{
		offered: per(len(r.messages) - count["refused"]), shown: per(len(r.shown)), merged: per(count["merged"]),
		shed: per(count["shed"]), refused: per(count["refused"]), most: r.most(), disorder: r.disorder(), overtaken: r.overtaken(),
		overload: count["shed"]+count["merged"] > 0,
	}
	var x []float64
	for user := range shed {
		x = append(x, float64(shown[user]))
	}
	res.senders, res.jain = len(x), jain(x)
	res.contended = r.contended(shed)

	seen := make([][]uint64, seconds+3)
	for _, i := range r.shown {
		m := &r.messages[i]
		s := min(int(m.shown/time.Second), len(seen)-1)
		seen[s] = append(seen[s], danmaku.Key(seed, m.text))
	}
	for _, keys := range seen {
		res.distinct += per(distinct(keys))
	}
	rng := rand.New(rand.NewPCG(1, 2))
	res.steady = true
	for _, keys := range offered {
		res.steady = res.steady && distinct(keys) > r.budget
		res.goal += per(min(r.budget, distinct(keys)))
		res.newest += per(distinct(keys[:min(baselineRate, len(keys))]))
		rng.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
		res.sample += per(distinct(keys[:min(baselineRate, len(keys))]))
		res.fair += per(distinct(keys[:min(r.budget, len(keys))]))
	}
	return res
}

// contended is Jain's index over the ordinary senders of whom something was shed,
// counting only what was shown at somebody else's expense: while a comment of another
// of them waited that was shed in the end. What is shown in a quiet moment costs nobody
// anything, and cannot be shared with those who talk at another time.
func (r *run) contended(shed map[string]int) float64 {
	type span struct {
		from, to time.Duration
		user     string
	}
	var waited []span
	for i := range r.messages {
		if m := &r.messages[i]; m.status == "shed" && m.weight == 0 && m.told > m.at {
			waited = append(waited, span{m.at, m.told, m.user})
		}
	}
	count := map[string]int{}
	first := 0
	for _, i := range r.shown {
		m := &r.messages[i]
		if m.weight > 0 || shed[m.user] == 0 {
			continue
		}
		for first < len(waited) && waited[first].from < m.shown-2*time.Second {
			first++
		}
		for _, w := range waited[first:] {
			if w.from > m.shown {
				break
			}
			if w.to > m.shown && w.user != m.user {
				count[m.user]++
				break
			}
		}
	}
	var x []float64
	for user := range shed {
		x = append(x, float64(count[user]))
	}
	return jain(x)
}

func distinct(keys []uint64) int {
	return len(slices.Compact(slices.Sorted(slices.Values(keys))))
}

// jain is Jain's index of fairness: 1 if all are equal, 1/n if one has it all.
func jain(x []float64) float64 {
	var sum, squares float64
	for _, v := range x {
		sum += v
		squares += v * v
	}
	if len(x) < 2 || squares == 0 {
		return 0
	}
	return sum * sum / (float64(len(x)) * squares)
}

// most is how many were shown in the fullest sliding second, by the hub's clock.
func (r *run) most() (most int) {
	times := make([]time.Duration, len(r.shown))
	for i, m := range r.shown {
		times[i] = r.messages[m].shown
	}
	slices.Sort(times)
	for first, last := 0, 0; last < len(times); last++ {
		for times[last]-times[first] >= time.Second {
			first++
		}
		most = max(most, last-first+1)
	}
	return most
}

func (r *run) disorder() (n int) {
	last := map[string]int{}
	for _, i := range r.shown {
		if before, ok := last[r.messages[i].user]; ok && before > i {
			n++
		}
		last[r.messages[i].user] = i
	}
	return n
}

// overtaken looks at what was decided at one moment, which is one tick.
func (r *run) overtaken() (n int) {
	lightest := map[time.Duration]int{}
	for _, i := range r.shown {
		m := &r.messages[i]
		at := m.told // the tick's answers come at one moment of virtual time
		if w, ok := lightest[at]; !ok || m.weight < w {
			lightest[at] = m.weight
		}
	}
	for i := range r.messages {
		m := &r.messages[i]
		if w, ok := lightest[m.told]; ok && m.status == "shed" && w < m.weight && m.told > m.at {
			n++
		}
	}
	return n
}

func (r *run) count(status string) (n uint64) {
	for i := range r.messages {
		if r.messages[i].status == status {
			n++
		}
	}
	return n
}
