package fold

// alikeOf gives for each Latin letter the letters of other scripts, and the Latin ones with a
// decoration that NFKD does not take off, which are taken for it, in capitals or small
// letters. The source is confusables.txt of Unicode Technical Standard #39 (Unicode Security
// Mechanisms), version 13: those of its lines whose target is one basic Latin letter and whose
// source is Latin, Greek, Coptic, Cyrillic, Armenian, Cherokee, Lisu or Canadian syllabics. Left out are the
// rarer scripts, punctuation, and what NFKD turns into the letter anyway.
func alikeOf() map[byte]string {
	return map[byte]string{
		'a': "ɑαаΑАᎪᗅꓮ",
		'b': "ƄЬᏏᑲᖯꞴΒВᏴᗷꓐ",
		'c': "ᴄϲⲥсꮯϹⲤСᏟꓚ",
		'd': "ԁᏧᑯꓒᎠᗞᗪꓓ",
		'e': "ꬲеҽΕЕᎬꓰ℮",
		'f': "ꬵꞙẝքꞘϜᖴꓝ",
		'g': "ɡᶃƍցԌᏀᏳꓖ",
		'h': "һհᏂΗⲎНᎻᕼꓧ",
		'i': "ıɪɩιіꙇꭵᎥ",
		'j': "ϳјꞲͿЈᎫᒍꓙ",
		'k': "ΚⲔКᏦꓗ",
		'l': "ƖǀⲒӀӏꓲⳐᏞᒪꓡ",
		'm': "ΜϺⲘМᎷᗰꓟ",
		'n': "ոռΝⲚꓠ",
		'o': "ᴏᴑꬽοσⲟоօΟⲞОՕꓳ",
		'p': "ρϱⲣрΡⲢРᏢᑭꓑ",
		'q': "ԛգզԚ",
		'r': "ꭇꭈᴦⲅгꮁƦᎡᏒᖇꓣ",
		's': "ꜱƽѕꮪЅՏᏕᏚꓢ",
		't': "ΤⲦТᎢꓔ",
		'u': "ꞟᴜꭎꭒʋυսՍᑌꓴ",
		'v': "ᴠνѵꮩѴᏙᐯꓦ",
		'w': "ɯᴡѡԝաꮃԜᎳᏔꓪ",
		'x': "᙮хᕁᕽ᙭ꞳΧⲬХꓫ",
		'y': "ɣᶌʏỿꭚγуүΥϒⲨУҮᎩᎽꓬ",
		'z': "ᴢꮓΖᏃꓜ",
	}
}

// alsoOf gives what the house adds, since it is common in chat: the other case of a
// letter above where it looks the same, small capitals, letters with a stroke, and letters in
// boxes and of flags, which NFKD leaves as they are.
func alsoOf() map[byte]string {
	return map[byte]string{
		'a': "ᴀ", 'b': "вβьʙƀ", 'c': "ƈ", 'd': "ᴅđĐɖ", 'e': "ᴇεɛəэ", 'f': "ꜰƒғ", 'g': "ɢɠǥ",
		'h': "нʜħĦ", 'i': "ΙІɨ", 'j': "ᴊɉ", 'k': "кκᴋƙ", 'l': "łŁʟɫ", 'm': "мᴍ", 'n': "пηɴŋηภ",
		'o': "øØөθ", 'p': "ᴘþ", 'q': "ǫ", 'r': "ʀɍяГ", 't': "тτᴛŧŦ", 'u': "ц", 'w': "шωщ", 'x': "χ",
	}
}

// pairs are the letters that look like, or are written as, two.
func pairs() map[rune]string {
	return map[rune]string{
		'ß': "ss", 'ẞ': "ss", 'æ': "ae", 'Æ': "ae", 'œ': "oe", 'Œ': "oe",
	}
}

// rows are alphabets and digits in the order of ASCII.
func rows(add func(first rune, n int, to rune)) {
	add(0x1F150, 26, 'a') // white on a black disc
	add(0x1F170, 26, 'a') // white on a black square
	add(0x1F1E6, 26, 'a') // the letters of which flags are made
	add(0x2776, 9, '1')   // digits, white on a black disc
	add(0x2780, 9, '1')   // digits without serifs in a circle
	add(0x278A, 9, '1')
	add(0x0660, 10, '0') // Arabic digits
	add(0x06F0, 10, '0')
	add('〇', 1, '0')
}

func lookalikes() map[rune]string {
	all := pairs()
	for _, list := range []map[byte]string{alikeOf(), alsoOf()} {
		for letter, runes := range list {
			for _, r := range runes {
				all[r] = string(rune(letter))
			}
		}
	}
	rows(func(first rune, n int, to rune) {
		for i := range rune(n) {
			all[first+i] = string(to + i)
		}
	})
	return all
}

// Coarse puts the letters and the digits and symbols that stand for them into one class:
// i, l, 1, ! and | are one, o and 0 are one.
func Coarse(r rune) rune {
	switch r {
	case '0':
		return 'o'
	case '1', 'i', '!', '|':
		return 'l'
	case '3', '€':
		return 'e'
	case '4', '@':
		return 'a'
	case '5', '$':
		return 's'
	case '7':
		return 't'
	case '8':
		return 'b'
	case '9':
		return 'g'
	}
	return r
}
