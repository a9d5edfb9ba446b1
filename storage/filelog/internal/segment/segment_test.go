package segment

import "testing"

func TestNamesOfFiles(t *testing.T) {
	for name, want := range map[string]FileKind{
		"00000001.log": ActiveFile, "00000012.seg": SealedFile, "00000012.seg.tmp": TemporaryFile, "123456789.log": ActiveFile,
		"1.log": OtherFile, "0123456789.log": OtherFile, "LOCK": OtherFile, "00000001.txt": OtherFile, ".log": OtherFile, "+0000001.log": OtherFile,
	} {
		if got, _ := ParseName(name); got != want {
			t.Errorf("%s is %d, want %d", name, got, want)
		}
	}
	if _, n := ParseName("a/b/" + SealedName(1234)); n != 1234 {
		t.Errorf("number %d", n)
	}
}
