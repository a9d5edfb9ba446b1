package bolt

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/liveim/im/ledger"
)

var records = []struct {
	name  string
	entry ledger.Entry
	hex   string // of version 1 of the format, for ever
}{
	{
		"full",
		ledger.Entry{
			Key: "gift/order/1", Version: 300, Kind: "gift.order", State: "charged", Room: "房间", User: "alice", Data: json.RawMessage(`{"n":1}`),
			Due: time.UnixMicro(1_800_000_000_000_001).UTC(), Created: time.UnixMicro(1_790_000_000_000_000).UTC(), Updated: time.UnixMicro(1_790_000_000_000_002).UTC(),
		},
		"ac02" + "8080afa2dbffad06" + "8480afa2dbffad06" + "8280e2c4f2a29903" + "0a" + "676966742e6f72646572" + "07" + "63686172676564" + "06" + "e688bfe997b4" + "05" + "616c696365" + "7b226e223a317d",
	},
	{
		"bare",
		ledger.Entry{Key: "k", Version: 1, Data: json.RawMessage("null"), Created: time.UnixMicro(0).UTC(), Updated: time.UnixMicro(-1).UTC()},
		"01" + "00" + "01" + "00" + "00000000" + "6e756c6c",
	},
	{
		"extreme",
		ledger.Entry{
			Key: "\x00\xff", Version: math.MaxUint64, Kind: "\x00", State: "\xff", Data: json.RawMessage("0"),
			Due: time.UnixMicro(0).UTC(), Created: time.UnixMicro(1).UTC(), Updated: time.UnixMicro(1).UTC(),
		},
		"ffffffffffffffffff01" + "02" + "02" + "01" + "0100" + "01ff" + "00" + "00" + "30",
	},
}

func TestRecordsOfVersion1(t *testing.T) {
	for _, test := range records {
		t.Run(test.name, func(t *testing.T) {
			got := encode(&test.entry)
			if h := hex.EncodeToString(got[:len(got)-4]); h != test.hex {
				t.Errorf("encode:\n got %s\nwant %s", h, test.hex)
			}
			r, err := decode([]byte(test.entry.Key), got)
			if err != nil {
				t.Fatal(err)
			}
			if e := r.entry(); !reflect.DeepEqual(e, test.entry) {
				t.Errorf("decode:\n got %+v\nwant %+v", e, test.entry)
			}
		})
	}
}

// TestDamagedRecords flips each bit and cuts at each length.
func TestDamagedRecords(t *testing.T) {
	for _, test := range records {
		key, good := []byte(test.entry.Key), encode(&test.entry)
		for n := range good {
			if _, err := decode(key, good[:n]); !errors.Is(err, ErrCorrupt) {
				t.Errorf("%s: decode of the first %d bytes returned error %v, want ErrCorrupt", test.name, n, err)
			}
			for bit := range 8 {
				bad := append([]byte(nil), good...)
				bad[n] ^= 1 << bit
				if _, err := decode(key, bad); !errors.Is(err, ErrCorrupt) {
					t.Errorf("%s: decode with bit %d of byte %d turned returned error %v, want ErrCorrupt", test.name, bit, n, err)
				}
			}
		}
		if _, err := decode([]byte("another key"), good); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: decode of the record of another key returned error %v, want ErrCorrupt", test.name, err)
		}
	}
}

// FuzzDecode gives decode records whose checksum is right, so that it reads what follows.
func FuzzDecode(f *testing.F) {
	for _, test := range records {
		b := encode(&test.entry)
		f.Add(test.entry.Key, b[:len(b)-4])
	}
	f.Fuzz(func(t *testing.T, key string, body []byte) {
		sum := checksum([]byte(key), body)
		value := append(append([]byte(nil), body...), byte(sum>>24), byte(sum>>16), byte(sum>>8), byte(sum))
		r, err := decode([]byte(key), value)
		if err != nil {
			return
		}
		if r.due > math.MaxInt64 {
			return // no ledger writes it
		}
		e := r.entry()
		again, err := decode([]byte(key), encode(&e))
		if err != nil || !reflect.DeepEqual(again.entry(), e) {
			t.Errorf("an entry that was read and written is %+v (error %v), and was %+v", again.entry(), err, e)
		}
	})
}

func TestIndexKeys(t *testing.T) {
	var last []byte
	for _, at := range []int64{0, 1, 255, 256, 1 << 32, 253_402_300_799_999_999} {
		for _, key := range []string{"\x00", "a", "\xff"} {
			k := dueKey(time.UnixMicro(at), key)
			if string(k) <= string(last) {
				t.Errorf("the index key of time %d, key %q is not after the one before: times sort as they pass", at, key)
			}
			last = k
		}
	}
	if strings.HasPrefix(string(nameKey("ab", "c")), string(nameKey("a", ""))) {
		t.Error("the entries of room ab are among those of room a")
	}
}
