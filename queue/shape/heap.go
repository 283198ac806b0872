package shape

// dueHeap has the key on top that is due first.
type dueHeap []*entry

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].work.Next.Before(h[j].work.Next) }
func (h dueHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}
func (h *dueHeap) Push(x any) {
	e := x.(*entry)
	e.index = len(*h)
	*h = append(*h, e)
}
func (h *dueHeap) Pop() any {
	old := *h
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	e.index = -1
	return e
}

// siteHeap has the site on top that may take more first.
type siteHeap []*site

func (h siteHeap) Len() int           { return len(h) }
func (h siteHeap) Less(i, j int) bool { return h[i].wake.Before(h[j].wake) }
func (h siteHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}
func (h *siteHeap) Push(x any) {
	at := x.(*site)
	at.index = len(*h)
	*h = append(*h, at)
}
func (h *siteHeap) Pop() any {
	old := *h
	at := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	at.index = -1
	return at
}
