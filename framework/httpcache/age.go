package httpcache

import (
	"net/http"
	"strconv"
	"time"
)

// maxDelta stands for every number of seconds that is greater (RFC 9111, section 1.2.2).
const maxDelta = 1 << 31

// deltaSeconds reads a number of seconds: digits and nothing else.
func deltaSeconds(s string) (time.Duration, bool) {
	if s == "" || !digits(s) {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n > maxDelta {
		n = maxDelta
	}
	return time.Duration(n) * time.Second, true
}

// ageValue reads Age: the first member of a list, although it should not be one, and 0 when that is no number of seconds (RFC 9111,
// section 5.1).
func ageValue(h http.Header) time.Duration {
	for _, line := range h.Values("Age") {
		for member := range listMembers(line) {
			age, _ := deltaSeconds(member)
			return age
		}
	}
	return 0
}

// initialAge returns how old a response was when it had arrived (RFC 9111, section 4.2.3).
func initialAge(age time.Duration, date, asked, arrived time.Time) time.Duration {
	apparent := max(0, arrived.Sub(date)).Truncate(time.Second) // a date has no finer resolution
	corrected := age + arrived.Sub(asked)
	return max(apparent, corrected)
}

// seconds writes a duration as Age does.
func seconds(d time.Duration) string { return strconv.FormatInt(int64(d/time.Second), 10) }

// timeLeft writes for how long an answer of an age is fresh yet, as Cache-Status does.
func timeLeft(lifetime, age time.Duration) string {
	return strconv.FormatInt(int64(lifetime/time.Second)-int64(age/time.Second), 10)
}
