// Package cache holds the layers that keep values for later: here the one in memory. It knows no HTTP.
//
// Memory is the layer; Cache is the part of it that one plugin sees; Flights makes one call out of many equal ones.
//
// Purges are stamps. Every purge takes the next number of one counter and leaves it at what it purges: a key, a tag, everything.
// A value remembers the number that the counter showed before the value was made, and is void when something of it was purged
// later. So a tag is purged in constant time, and a value whose making a purge overtook is never stored.
package cache

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// loadTimeout bounds a load whose callers have left.
const loadTimeout = time.Minute

// Cache is a part of the layers with keys of its own: what the framework lends a plugin. It may be used concurrently.
//
// Values are kept as JSON ([]byte as it is), whatever the layer. So every reader has a value of its own to change, the cost
// is what the value occupies, and instances that share a layer read each other's values.
type Cache struct {
	memory *Memory
	prefix string
}

// Cache returns the part of the layer that belongs to a namespace, such as a plugin's name. The same name gives the same part.
func (m *Memory) Cache(namespace string) *Cache {
	return &Cache{memory: m, prefix: "plugin\x00" + strings.ReplaceAll(namespace, "\x00", "") + "\x00"}
}

// Get reads the value of a key into a pointer and reports whether there is one. A value that does not fit counts as absent.
func (c *Cache) Get(_ context.Context, key string, into any) bool {
	stored, ok := c.memory.Get(c.prefix + key)
	return ok && decode(stored.([]byte), into) == nil
}

// Set stores a value for a time. A ttl of 0 or less stores nothing.
func (c *Cache) Set(_ context.Context, key string, value any, ttl time.Duration) error {
	made := c.memory.Now()
	encoded, err := encode(value)
	if err != nil {
		return fmt.Errorf("store %s: %w", key, err)
	}
	c.store(c.prefix+key, encoded, ttl, made)
	return nil
}

// Delete purges a key. A load under way for it is not stored.
func (c *Cache) Delete(_ context.Context, key string) error {
	c.memory.Delete(c.prefix + key)
	return nil
}

// Flush purges all the keys of the namespace. Loads under way are not stored.
func (c *Cache) Flush(context.Context) error {
	c.memory.Purge(func(key string) bool { return strings.HasPrefix(key, c.prefix) })
	return nil
}

// Stats returns the state of the layer, all namespaces together.
func (c *Cache) Stats() Stats { return c.memory.Stats() }

func (c *Cache) store(fullKey string, encoded []byte, ttl time.Duration, made Stamp) {
	c.memory.Set(fullKey, encoded, Entry{TTL: ttl, Cost: cap(encoded), Made: made})
}

// Load returns the value of a key, or makes it with fn and stores it for a time; with a ttl of 0 or less it is not stored.
//
// Concurrent loads of one key run fn once, in a goroutine and under a context that holds the values of one caller's: it goes on
// when they leave, for a minute at most. Each waits until its own ctx ends. An error of fn is everybody's and is not
// stored; a panic becomes a *PanicError. A load that begins after a purge never gets what was made before it.
func Load[T any](
	ctx context.Context, c *Cache, key string, ttl time.Duration, fn func(context.Context) (T, error),
) (T, error) {
	var value T
	if c.Get(ctx, key, &value) {
		return value, nil
	}
	fullKey := c.prefix + key
	flight := string(binary.BigEndian.AppendUint64(nil, uint64(c.memory.Purged(fullKey, nil)))) + fullKey
	encoded, _, err := c.memory.loads.Do(ctx, flight, loadTimeout, func(ctx context.Context) ([]byte, error) {
		// Another load may have ended between the miss and the beginning of this one.
		if stored, ok := c.memory.Peek(fullKey); ok && decode(stored.([]byte), new(T)) == nil {
			return stored.([]byte), nil
		}
		made := c.memory.Now()
		value, err := fn(ctx)
		if err != nil {
			return nil, err
		}
		encoded, err := encode(value)
		if err == nil {
			c.store(fullKey, encoded, ttl, made)
		}
		return encoded, err
	})
	var fresh T // what a failed Get may have left in value is void
	if err == nil {
		err = decode(encoded, &fresh)
	}
	if err != nil {
		return fresh, fmt.Errorf("load %s: %w", key, err)
	}
	return fresh, nil
}

func encode(value any) ([]byte, error) {
	if b, ok := value.([]byte); ok {
		return bytes.Clone(b), nil
	}
	encoded, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("encode value: %w", err)
	}
	return encoded, nil
}

func decode(encoded []byte, into any) error {
	if b, ok := into.(*[]byte); ok {
		*b = bytes.Clone(encoded)
		return nil
	}
	if err := json.Unmarshal(encoded, into); err != nil {
		return fmt.Errorf("decode value: %w", err)
	}
	return nil
}
