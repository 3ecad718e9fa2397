package wire

import "sync"

// Keyed is one mutex for each key, as long as somebody holds or wants it.
type Keyed struct {
	mu    sync.Mutex
	locks map[string]*keyedLock
}

type keyedLock struct {
	sync.Mutex
	wanted int
}

// Lock waits for the key; the caller calls unlock.
func (k *Keyed) Lock(key string) (unlock func()) {
	k.mu.Lock()
	if k.locks == nil {
		k.locks = map[string]*keyedLock{}
	}
	l, found := k.locks[key]
	if !found {
		l = &keyedLock{}
		k.locks[key] = l
	}
	l.wanted++
	k.mu.Unlock()
	l.Lock()
	return func() {
		l.Unlock()
		k.mu.Lock()
		defer k.mu.Unlock()
		if l.wanted--; l.wanted == 0 {
			delete(k.locks, key)
		}
	}
}
