package phase

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestOf(t *testing.T) {
	cases := map[string]struct {
		start  int64
		stages string // duration in seconds and target
		want   string
	}{
		"basic":         {0, "30:10 60:10 30:20 60:20 30:0", "ramp 0-30, baseline 30-90, ramp 90-120, peak 120-180, recovery#1 180-210"},
		"three levels":  {0, "60:5 180:5 60:10 180:10 60:15 120:15 60:0", "ramp 0-60, baseline 60-240, ramp 240-300, step_10 300-480, ramp 480-540, peak 540-660, recovery#1 660-720"},
		"stairs":        {0, "120:10 180:20 180:40 180:100 120:0", "baseline 0-120, step_20 120-300, step_40 300-480, peak 480-660, recovery#1 660-780"},
		"two spikes":    {5, "60:5 10:100 120:100 10:5 60:5 10:50 60:50 10:5 60:5", "baseline 0-60, ramp 60-70, peak 70-190, ramp 190-200, recovery#1 200-260, ramp 260-270, peak 270-330, ramp 330-340, recovery#2 340-400"},
		"soak":          {0, "120:20 600:20 600:20 120:0", "ramp 0-120, baseline 120-720, steady 720-1320, ramp 1320-1440"},
		"one level":     {0, "10:20 60:20 10:0", "ramp 0-10, steady 10-70, ramp 70-80"},
		"only up":       {0, "10:20", "steady 0-10"},
		"only held":     {7, "10:7", "steady 0-10"},
		"jump":          {5, "60:5 0:100 60:100 0:5 60:5", "baseline 0-60, peak 60-120, recovery#1 120-180"},
		"down in steps": {5, "9:5 1:90 9:90 1:40 9:40 1:5 9:5", "baseline 0-9, ramp 9-10, peak 10-19, ramp 19-20, recovery#1 20-29, ramp 29-30, recovery#1 30-39"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var stages []Stage
			for s := range strings.FieldsSeq(c.stages) {
				var seconds, target int64
				if _, err := fmt.Sscanf(s, "%d:%d", &seconds, &target); err != nil {
					t.Fatal(err)
				}
				stages = append(stages, Stage{time.Duration(seconds) * time.Second, target})
			}
			profile := Of(c.start, stages)
			var got []string
			for _, p := range profile {
				name := p.Name
				if p.Spike > 0 {
					name = fmt.Sprintf("%s#%d", p.Name, p.Spike)
				}
				got = append(got, fmt.Sprintf("%s %.0f-%.0f", name, p.Start.Seconds(), p.End.Seconds()))
				if at := profile.At(p.Start); at != p {
					t.Errorf("at the start of %s: %s", p.Name, at.Name)
				}
				if at := profile.At(p.End - 1); at != p {
					t.Errorf("at the end of %s: %s", p.Name, at.Name)
				}
			}
			if got := strings.Join(got, ", "); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if last := profile.At(time.Hour); last != profile[len(profile)-1] {
				t.Errorf("after the end: %s", last.Name)
			}
		})
	}
}
