package store

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/bbolt"
)

func TestSweepRemovesWhatHasExpired(t *testing.T) {
	f, err := OpenFile(filepath.Join(t.TempDir(), "chat.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	short, err := f.Space("short", Limits{TTL: time.Minute, MaxBytes: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	long, err := f.Space("long", Limits{TTL: time.Hour, MaxBytes: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	const values = 30
	for i := range values {
		for _, s := range []Store{short, long} {
			if err := s.Put(t.Context(), fmt.Sprint(i), []byte("value")); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := f.sweep(time.Now()); n != 0 {
		t.Errorf("%d values went before their time", n)
	}
	if n := f.sweep(time.Now().Add(2 * time.Minute)); n != values {
		t.Errorf("%d values went, want %d", n, values)
	}
	err = f.db.View(func(tx *bbolt.Tx) error {
		for name, want := range map[string]int{"short": 0, "long": values} {
			s := openSpace(tx, []byte(name))
			if n, m := s.values.Stats().KeyN, s.expires.Stats().KeyN; n != want || m != want || (s.bytes == 0) != (want == 0) {
				t.Errorf("%s: %d values, %d in the index, %d bytes; want %d", name, n, m, s.bytes, want)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestProbeOfAFileThatCannotBeWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "chat.db")
	f, err := OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s, err := f.Space("things", Limits{TTL: time.Hour, MaxBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Probe(t.Context()); err != nil {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	readOnly := &local{&fileRecords{db, []byte("things"), Limits{TTL: time.Hour, MaxBytes: 1 << 20}}, &locks{}}
	if readOnly.Probe(t.Context()) == nil {
		t.Error("a file that can't be written is said to keep what it is given")
	}
}
