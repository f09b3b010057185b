package limit_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/innatural/chatbot/framework/limit"
)

func TestConnections(t *testing.T) {
	var c limit.Connections
	open := func(client string, wantOK, wantMost bool) {
		t.Helper()
		if ok, most := c.Open(netip.MustParseAddr(client), 5, 2); ok != wantOK || most != wantMost {
			t.Errorf("%s: %v, %v", client, ok, most)
		}
	}
	open("192.0.2.1", true, false)
	open("::ffff:192.0.2.1", true, false)
	open("192.0.2.1", false, true)
	open("2001:db8::1", true, false)
	open("2001:db8::2", true, false)
	open("2001:db8::3", false, true)
	open("192.0.2.2", true, false)
	open("192.0.2.3", false, false) // the sixth
	c.Close(alice)
	open("192.0.2.3", true, false)
	if n := c.Count(); n != 5 {
		t.Errorf("%d are open", n)
	}
	if ok, _ := c.Open(bob, 10, 0); !ok {
		t.Error("0 is no limit")
	}
}

func TestDelay(t *testing.T) {
	l := limit.New(10, time.Hour)
	var got []int64
	for range 11 {
		got = append(got, int64(l.Allow(alice).Delay(0.5, 500)))
	}
	for i, delay := range got {
		if i < 4 && delay != 0 || i > 6 && delay == 0 || delay > 500 {
			t.Errorf("request %d waits %d: %v", i+1, delay, got)
		}
	}
}
