package segment

import (
	"container/list"
	"sync"
	"sync/atomic"
)

// Cache holds parts of sealed files that were read lately. One is shared by all sealed files of a log, and it is safe for
// concurrent use. A nil Cache holds nothing.
type Cache struct {
	max     int64
	sources atomic.Uint64

	mu    sync.Mutex // protects what follows
	bytes int64
	byKey map[cacheKey]*list.Element
	order *list.List // of *cached, the one used last in front
}

// cacheKey names a part: whose it is, and where it lies.
type cacheKey struct {
	source uint64
	offset int64
}

type cached struct {
	key   cacheKey
	value any
	cost  int64
}

// NewCache makes a cache of at most so many bytes.
func NewCache(bytes int64) *Cache {
	return &Cache{max: bytes, byKey: map[cacheKey]*list.Element{}, order: list.New()}
}

// source is a name for somebody who puts parts into the cache.
func (c *Cache) source() uint64 {
	if c == nil {
		return 0
	}
	return c.sources.Add(1)
}

func (c *Cache) get(key cacheKey) (any, bool) {
	if c == nil {
		return nil, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.byKey[key]
	if e == nil {
		return nil, false
	}
	c.order.MoveToFront(e)
	return e.Value.(*cached).value, true
}

// put adds a part, which nobody may change from now on. One that is larger than a quarter of the cache is left out.
func (c *Cache) put(key cacheKey, value any, cost int64) {
	const overhead = 128
	if c == nil || cost+overhead > c.max/4 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byKey[key] != nil {
		return
	}
	c.byKey[key] = c.order.PushFront(&cached{key, value, cost + overhead})
	c.bytes += cost + overhead
	for c.bytes > c.max {
		c.drop(c.order.Back())
	}
}

// forget drops all parts of a source.
func (c *Cache) forget(source uint64) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for e := c.order.Front(); e != nil; {
		next := e.Next()
		if e.Value.(*cached).key.source == source {
			c.drop(e)
		}
		e = next
	}
}

func (c *Cache) drop(e *list.Element) {
	old := c.order.Remove(e).(*cached)
	delete(c.byKey, old.key)
	c.bytes -= old.cost
}
