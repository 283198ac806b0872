package bolt

import (
	"cmp"
	"math"
	"slices"
)

// An item is a recipient in an ordered list: 24 octets.
type item struct {
	at      int64  // what the list is ordered by, nanoseconds since 1970
	expires int64  // when the recipient expires
	id      uint64 // breaks ties
}

func (a item) compare(b item) int {
	return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.id, b.id))
}

// An ordered list keeps items by time. It is a list of short sorted chunks,
// so that a million items cost little more than their octets, and taking from
// the front, putting at the end and removing anywhere are all cheap. The zero
// ordered is empty.
type ordered struct {
	chunks []chunk
	n      int
}

const chunkItems = 128

type chunk struct {
	items   []item
	expires int64 // the earliest of them
}

func (c *chunk) refresh() {
	c.expires = math.MaxInt64
	for i := range c.items {
		c.expires = min(c.expires, c.items[i].expires)
	}
}

// find gives the chunk that holds it, or would.
func (o *ordered) find(it item) int {
	i, _ := slices.BinarySearchFunc(o.chunks, it, func(c chunk, it item) int {
		return c.items[len(c.items)-1].compare(it)
	})
	return i
}

func (o *ordered) put(it item) {
	i := o.find(it)
	if i == len(o.chunks) {
		// Behind all others: the usual case. Full chunks stay full.
		if i == 0 || len(o.chunks[i-1].items) >= chunkItems {
			o.chunks = append(o.chunks, chunk{items: []item{it}, expires: it.expires})
			o.n++
			return
		}
		i--
	}
	c := &o.chunks[i]
	at, found := slices.BinarySearchFunc(c.items, it, item.compare)
	if found {
		c.items[at] = it
		c.refresh()
		return
	}
	c.items = slices.Insert(c.items, at, it)
	c.expires = min(c.expires, it.expires)
	o.n++
	if len(c.items) > chunkItems {
		o.split(i)
	}
}

func (o *ordered) split(i int) {
	half := len(o.chunks[i].items) / 2
	young := chunk{items: slices.Clone(o.chunks[i].items[half:])}
	young.refresh()
	o.chunks[i].items = o.chunks[i].items[:half]
	o.chunks[i].refresh()
	o.chunks = slices.Insert(o.chunks, i+1, young)
}

// remove takes an item out and says whether it was there.
func (o *ordered) remove(it item) bool {
	i := o.find(it)
	if i == len(o.chunks) {
		return false
	}
	at, found := slices.BinarySearchFunc(o.chunks[i].items, it, item.compare)
	if found {
		o.cut(i, at)
	}
	return found
}

// cut removes one item by its place.
func (o *ordered) cut(i, at int) {
	c := &o.chunks[i]
	expires := c.items[at].expires
	o.n--
	switch {
	case len(c.items) == 1 && i == 0:
		o.chunks[0] = chunk{}
		o.chunks = o.chunks[1:]
		return
	case len(c.items) == 1:
		o.chunks = slices.Delete(o.chunks, i, i+1)
		return
	case at == 0:
		c.items = c.items[1:]
	default:
		c.items = slices.Delete(c.items, at, at+1)
	}
	if expires == c.expires {
		c.refresh()
	}
}

// first gives the earliest item.
func (o *ordered) first() (item, bool) {
	if o.n == 0 {
		return item{}, false
	}
	return o.chunks[0].items[0], true
}

// expires is when the earliest of all expires.
func (o *ordered) expires() int64 {
	e := int64(math.MaxInt64)
	for i := range o.chunks {
		e = min(e, o.chunks[i].expires)
	}
	return e
}

// take is takeDue or takeExpired.
func (o *ordered) take(now int64, expired bool) (item, bool) {
	if expired {
		return o.takeExpired(now)
	}
	return o.takeDue(now)
}

// takeDue removes the first item if it is not after now.
func (o *ordered) takeDue(now int64) (item, bool) {
	it, ok := o.first()
	if !ok || it.at > now {
		return item{}, false
	}
	o.cut(0, 0)
	return it, true
}

// takeExpired removes an item whose last moment was before now.
func (o *ordered) takeExpired(now int64) (item, bool) {
	for i := range o.chunks {
		if o.chunks[i].expires >= now {
			continue
		}
		for at, it := range o.chunks[i].items {
			if it.expires < now {
				o.cut(i, at)
				return it, true
			}
		}
	}
	return item{}, false
}
