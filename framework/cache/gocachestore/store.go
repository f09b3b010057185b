// Package gocachestore lends a plugin's part of the cache layers to code that speaks gocache (github.com/eko/gocache), as one of its
// stores: cache.New, cache.NewLoadable and cache.NewChain of gocache take it.
//
// It differs from gocache's own stores where those surprise. Clear purges the namespace and nothing else of the servers. A value
// expires at one moment on every layer, whatever its remaining time is rounded to. A purge that a layer did not take is an error.
// Invalidation by tag is one note in the log of purges, which no write at the same time escapes. Code without gocache uses
// cache.Cache, which costs less and loads each value once among all instances.
package gocachestore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/eko/gocache/lib/v4/store"

	"github.com/innatural/chatbot/framework/cache"
)

// Type is what GetType of a Store returns.
const Type = "innatural"

// DefaultTTL is how long a value lives that is stored without an expiration, which gocache takes for forever.
const DefaultTTL = 365 * 24 * time.Hour

// Store is a store of gocache over the cache layers. Its keys are strings, and its values are strings or []byte, and come back as
// []byte, from which gocache makes either. It may be used concurrently.
type Store struct {
	cache    *cache.Cache
	defaults []store.Option
}

var _ store.StoreInterface = (*Store)(nil)

// New returns a store over a part of the layers. The options hold for each Set that does not say otherwise.
func New(c *cache.Cache, defaults ...store.Option) *Store {
	return &Store{cache: c, defaults: defaults}
}

// Get returns the value of a key as []byte, or a *store.NotFound.
func (s *Store) Get(ctx context.Context, key any) (any, error) {
	value, _, err := s.GetWithTTL(ctx, key)
	return value, err
}

// GetWithTTL returns the value of a key as []byte with the time that is left to it, or a *store.NotFound.
func (s *Store) GetWithTTL(ctx context.Context, key any) (any, time.Duration, error) {
	name, err := text(key)
	if err != nil {
		return nil, 0, err
	}
	var value []byte
	expires, ok := s.cache.GetUntil(ctx, name, &value)
	left := time.Until(expires)
	if !ok || left <= 0 {
		return nil, 0, store.NotFoundWithCause(errors.New("no layer has " + name))
	}
	return value, left, nil
}

// Set stores a value. Of the options it reads Expiration and Tags: cost is what a value occupies, and tags live as long as it does.
// An expiration below zero, which some stores of gocache return for values without one, is an error.
func (s *Store) Set(ctx context.Context, key, value any, options ...store.Option) error {
	name, err := text(key)
	if err != nil {
		return err
	}
	var encoded []byte
	switch v := value.(type) {
	case []byte:
		encoded = v
	case string:
		encoded = []byte(v)
	default:
		return fmt.Errorf("store %s: a value is a string or bytes, not a %T; encode it, or use gocache's marshaler", name, value)
	}
	o := store.ApplyOptionsWithDefault(store.ApplyOptions(s.defaults...), options...)
	ttl := o.Expiration
	if ttl < 0 {
		return fmt.Errorf("store %s: it expires before now, %v", name, ttl)
	}
	if ttl == 0 {
		ttl = DefaultTTL
	}
	return s.cache.Set(ctx, name, encoded, ttl, o.Tags...)
}

// Delete purges a key, on every instance. On an error this instance has purged it, and the others follow when Redis answers.
func (s *Store) Delete(ctx context.Context, key any) error {
	name, err := text(key)
	if err != nil {
		return err
	}
	return s.cache.Delete(ctx, name)
}

// Invalidate purges all that was stored with one of the tags, as Delete does a key.
func (s *Store) Invalidate(ctx context.Context, options ...store.InvalidateOption) error {
	tags := store.ApplyInvalidateOptions(options...).Tags
	if len(tags) == 0 {
		return nil
	}
	return s.cache.DeleteTags(ctx, tags...)
}

// Clear purges all of the namespace, as Delete does a key. It takes as long for a million keys as for one.
func (s *Store) Clear(ctx context.Context) error { return s.cache.Flush(ctx) }

// GetType returns Type.
func (s *Store) GetType() string { return Type }

func text(key any) (string, error) {
	if name, ok := key.(string); ok {
		return name, nil
	}
	return "", fmt.Errorf("a key is a string, not a %T", key)
}
