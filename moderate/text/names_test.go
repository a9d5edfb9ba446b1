package text

import "testing"

func TestSkeleton(t *testing.T) {
	for _, same := range [][]string{
		{"Host", "host", "H0st", "Ηоst", "ʜᴏꜱᴛ", "Ｈｏｓｔ", "h\u200bost", "h o s t", "𝓱𝓸𝓼𝓽", "h\u0336ost", "ⓗⓞⓢⓣ", "h.o_s-t", "\u202ehost"},
		{"Admin", "Adrnin", "АDМIN", "4dmin", "a.d.m.1.n", "adm!n"},
		{"Will", "wi11", "vvill", "WIII"},
		{"主播", "主\u200b播", "主 播", "【主播】"},
		{"小Q", "小ｑ", "小🅠"},
	} {
		for _, name := range same[1:] {
			if Skeleton(name) != Skeleton(same[0]) {
				t.Errorf("%q (%q) does not look like %q (%q)", name, Skeleton(name), same[0], Skeleton(same[0]))
			}
		}
	}
	for _, test := range [][2]string{{"host", "hast"}, {"主播", "主摇"}, {"Ann", "Anne"}, {"小明", "小红"}} {
		if Skeleton(test[0]) == Skeleton(test[1]) {
			t.Errorf("%q looks like %q", test[0], test[1])
		}
	}
}

func TestNames(t *testing.T) {
	n := NewNames("Host", "小明主播", "Moderator", "\u200b")
	for name, want := range map[string]string{
		"host": "Host", "H0ST": "Host", "Host_2": "Host", "Official Host": "Host", "the-host": "Host",
		"官方小明主播": "小明主播", "小明主播888": "小明主播", "rnoderat0r": "Moderator",
		"ghost": "", "小明": "", "hostess": "", "": "", "★": "",
	} {
		got, taken := n.Taken(name)
		if got != want || taken != (want != "") {
			t.Errorf("%q is taken for %q, want %q", name, got, want)
		}
	}
}
