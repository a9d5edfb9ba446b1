package ws

import (
	"bytes"
	"testing"
)

func TestMask(t *testing.T) {
	for n := range 100 {
		for offset := range 9 {
			plain := []byte(noiseString(n))
			want := make([]byte, n)
			for i, c := range plain {
				want[i] = c ^ testKey[(offset+i)%4]
			}
			Mask(testKey, offset, plain)
			if !bytes.Equal(plain, want) {
				t.Errorf("%d bytes at offset %d are masked wrong", n, offset)
			}
		}
	}
}

func TestMaskInPieces(t *testing.T) {
	want := []byte(noiseString(100))
	got := bytes.Clone(want)
	Mask(testKey, 0, want)
	for i, size := 0, 0; i < len(got); i, size = i+size, size+1 {
		Mask(testKey, i, got[i:min(i+size, len(got))])
	}
	if !bytes.Equal(got, want) {
		t.Error("masking in pieces differs from masking at once")
	}
}
