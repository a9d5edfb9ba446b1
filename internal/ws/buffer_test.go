package ws

import "testing"

func TestBufferClasses(t *testing.T) {
	for n, want := range map[int]int{
		0: 1 << 10, 1: 1 << 10, 1024: 1 << 10, 1025: 2 << 10, 2048: 2 << 10, 65535: 64 << 10, 65536: 64 << 10,
		65537: 65537, 100_000: 100_000,
	} {
		buf := getBuffer(n)
		if len(buf.b) != 0 || cap(buf.b) != want {
			t.Errorf("getBuffer(%d): len %d, cap %d, want 0 and %d", n, len(buf.b), cap(buf.b), want)
		}
		buf.b = append(buf.b, "used"...)
		putBuffer(buf)
	}
}

func TestPutBufferKeepsNoGiants(t *testing.T) {
	putBuffer(&buffer{make([]byte, 1<<20)})
	putBuffer(&buffer{make([]byte, 3000)})
	for range 100 {
		for n := 1 << minBufferBits; n <= 1<<maxBufferBits; n *= 2 {
			if buf := getBuffer(n); cap(buf.b) != n {
				t.Fatalf("getBuffer(%d) has capacity %d", n, cap(buf.b))
			}
		}
	}
}

func TestMoveBuffer(t *testing.T) {
	buf := moveBuffer(nil, 10)
	buf.b = append(buf.b, "content"...)
	if buf = moveBuffer(buf, 5000); string(buf.b) != "content" || cap(buf.b) != 8192 {
		t.Errorf("moved to %q with capacity %d", buf.b, cap(buf.b))
	}
}
