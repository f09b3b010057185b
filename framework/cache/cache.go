// Package cache holds the layers that keep values for later: Memory in the process, and behind it Redis, which instances share.
// It knows no HTTP.
//
// Cache is the part of the layers that one plugin sees; Flights makes one call out of many equal ones.
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
func (c *Cache) Get(ctx context.Context, key string, into any) bool {
	_, ok := c.GetUntil(ctx, key, into)
	return ok
}

// GetUntil reads as Get does and also returns when the value expires.
func (c *Cache) GetUntil(ctx context.Context, key string, into any) (expires time.Time, ok bool) {
	if stored, ok := c.memory.Get(c.prefix + key); ok {
		v := stored.(*pluginValue)
		return v.expires, decode(v.encoded, into) == nil
	}
	made, shared := c.memory.Now(), c.memory.Shared()
	if shared == nil {
		return time.Time{}, false
	}
	found, ok := shared.Get(ctx, c.prefix+key)
	if !ok || !found.Stale.IsZero() || decode(found.Value, into) != nil {
		return time.Time{}, false
	}
	c.fill(c.prefix+key, found, made)
	return found.Expires, true
}

// Set stores a value for a time, with the tags that purge it. A ttl of 0 or less stores nothing. Other instances may go on reading
// the value that they hold; they read this one after a Delete.
func (c *Cache) Set(ctx context.Context, key string, value any, ttl time.Duration, tags ...string) error {
	made := c.now()
	encoded, err := encode(value)
	if err != nil {
		return fmt.Errorf("store %s: %w", key, err)
	}
	c.store(ctx, c.prefix+key, encoded, ttl, c.tags(tags), made)
	return nil
}

// Delete purges a key, on every instance. A load under way for it is not stored. On an error the shared layer does not answer; the
// key is purged here, and there once it does.
func (c *Cache) Delete(ctx context.Context, key string) error {
	_, err := c.memory.PurgeShared(ctx, Purge{Keys: []string{c.prefix + key}})
	return err
}

// DeleteTags purges every key that was stored with one of the tags, as Delete does one.
func (c *Cache) DeleteTags(ctx context.Context, tags ...string) error {
	_, err := c.memory.PurgeShared(ctx, Purge{Tags: c.tags(tags)})
	return err
}

// tags returns tags as they are stored: those of one namespace are not those of another.
func (c *Cache) tags(tags []string) []string {
	own := make([]string, len(tags))
	for i, tag := range tags {
		own[i] = c.prefix + tag
	}
	return own
}

// Flush purges all the keys of the namespace, as Delete does one.
func (c *Cache) Flush(ctx context.Context) error {
	_, err := c.memory.PurgeShared(ctx, Purge{Selectors: []Selector{{Prefix: c.prefix}}})
	return err
}

// Stats returns the state of the memory layer, all namespaces together.
func (c *Cache) Stats() Stats { return c.memory.Stats() }

// made is a moment in both layers.
type made struct {
	here  Stamp
	there Moment
}

func (c *Cache) now() made { return made{c.memory.Now(), c.memory.Shared().Now()} }

// pluginValue is what memory holds of a plugin's value.
type pluginValue struct {
	encoded []byte
	expires time.Time
}

// pluginValueSize is what it occupies beside the encoded bytes.
const pluginValueSize = 48

func (c *Cache) store(ctx context.Context, fullKey string, encoded []byte, ttl time.Duration, tags []string, at made) {
	if c.keep(fullKey, encoded, time.Now().Add(ttl), tags, at.here) {
		c.memory.Shared().Set(ctx, fullKey, encoded, ttl, tags, at.there)
	}
}

// fill keeps in memory what was found in the shared layer.
func (c *Cache) fill(fullKey string, found Found, at Stamp) {
	c.keep(fullKey, bytes.Clone(found.Value), found.Expires, found.Tags, at) // without the envelope round it
}

func (c *Cache) keep(fullKey string, encoded []byte, expires time.Time, tags []string, at Stamp) bool {
	return c.memory.Set(fullKey, &pluginValue{encoded, expires}, Entry{
		TTL: time.Until(expires), Cost: cap(encoded) + pluginValueSize, Tags: tags, Made: at,
	})
}

// Load returns the value of a key, or makes it with fn and stores it for a time; with a ttl of 0 or less it is not stored.
//
// Concurrent loads of one key run fn once, on one of the instances that share a layer, in a goroutine and under a context that
// holds the values of one caller's: it goes on when they leave, for a minute at most. Each waits until its own ctx ends. An error of fn is everybody's and is not
// stored; a panic becomes a *PanicError. A load that begins after a purge never gets what was made before it.
func Load[T any](
	ctx context.Context, c *Cache, key string, ttl time.Duration, fn func(context.Context) (T, error),
) (T, error) {
	var value T
	fullKey := c.prefix + key
	if stored, ok := c.memory.Get(fullKey); ok && decode(stored.(*pluginValue).encoded, &value) == nil {
		return value, nil
	}
	flight := string(binary.BigEndian.AppendUint64(nil, uint64(c.memory.Purged(fullKey, nil)))) + fullKey
	encoded, _, err := c.memory.loads.Do(ctx, flight, loadTimeout, func(ctx context.Context) ([]byte, error) {
		// Another load may have ended between the miss and the beginning of this one.
		if stored, stale, ok := c.memory.Peek(fullKey); ok && stale.IsZero() {
			if encoded := stored.(*pluginValue).encoded; decode(encoded, new(T)) == nil {
				return encoded, nil
			}
		}
		made, shared := c.now(), c.memory.Shared()
		var there []byte
		look := func(found Found) bool {
			if !found.Stale.IsZero() || decode(found.Value, new(T)) != nil {
				return false
			}
			there = found.Value
			c.fill(fullKey, found, made.here)
			return true
		}
		if ttl > 0 && shared != nil {
			if found, ok := shared.Get(ctx, fullKey); ok && look(found) {
				return there, nil
			}
			defer shared.Lead(ctx, fullKey, look)()
			if there != nil {
				return there, nil
			}
		}
		value, err := fn(ctx)
		if err != nil {
			return nil, err
		}
		encoded, err := encode(value)
		if err == nil {
			c.store(ctx, fullKey, encoded, ttl, nil, made)
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
