package segment

import "testing"

func TestCacheIsBounded(t *testing.T) {
	c := NewCache(1000)
	for i := range int64(100) {
		c.put(cacheKey{1, i}, i, 50)
	}
	if c.bytes > 1000 || c.order.Len() != len(c.byKey) || c.order.Len() != 1000/(50+128) {
		t.Errorf("%d bytes in %d parts", c.bytes, c.order.Len())
	}
	if v, ok := c.get(cacheKey{1, 99}); !ok || v != int64(99) {
		t.Error("the newest is gone")
	}
	c.put(cacheKey{2, 0}, 0, 10_000)
	if _, ok := c.get(cacheKey{2, 0}); ok {
		t.Error("it takes what is larger than itself")
	}
	c.forget(1)
	if c.bytes != 0 || len(c.byKey) != 0 {
		t.Errorf("%d bytes after forgetting all", c.bytes)
	}
	var none *Cache
	none.put(cacheKey{}, 1, 1)
	none.forget(0)
	if _, ok := none.get(cacheKey{}); ok {
		t.Error("a nil cache holds something")
	}
}
