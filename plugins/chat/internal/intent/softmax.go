package intent

import (
	"math"
	"math/rand/v2"
	"runtime"
	"sync"
)

// How the weights are learned; chosen by cross-validation.
const (
	epochs  = 1
	rate    = 8.0  // of the first step; it falls to 0
	batch   = 48   // examples whose errors are computed before the weights change
	known   = 0.02 // an error that is not worth a change
	workers = 8    // at most
)

// example is a text to learn from.
type example struct {
	features []feature
	class    int
}

// learn fits the weights by stochastic gradient descent on the cross-entropy, in small batches. Workers compute the errors of a
// batch, then each changes its own rows, in the order of the examples: the outcome does not depend on how many there are.
func (c *Classifier) learn(examples []example, random *rand.Rand) {
	k := len(c.classes)
	c.weights = make([]float32, k<<rowBits)
	errors := make([]float32, batch*k)
	order := random.Perm(len(examples))
	total, done := float64(epochs*len(examples)), 0
	crew := newCrew()
	defer crew.close()
	for range epochs {
		random.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for from := 0; from < len(order); from += batch {
			part := order[from:min(from+batch, len(order))]
			step := float32(rate * (1 - float64(done)/total))
			done += len(part)
			crew.do(func(worker, of int) {
				for i := worker; i < len(part); i += of {
					e := examples[part[i]]
					scores := errors[i*k : (i+1)*k]
					c.score(e.features, scores)
					softmax(scores)
					for class := range scores {
						scores[class] *= -step
					}
					scores[e.class] += step
				}
			})
			crew.do(func(worker, of int) {
				for i, at := range part {
					if e := examples[at]; errors[i*k+e.class] > known*step {
						c.change(e.features, errors[i*k:(i+1)*k], uint32(worker), uint32(of))
					}
				}
			})
		}
	}
}

// change adds an example's errors to the rows of one worker.
//
// The race detector, which would look at each number of the weights, has a start take ten times as long: it sees the workers, not what
// their loops compute. That the outcome is the same for any number of workers is tested.
//
//go:norace
func (c *Classifier) change(features []feature, errors []float32, worker, of uint32) {
	for _, f := range features {
		if f.row%of != worker {
			continue
		}
		row := c.weights[int(f.row)*len(errors):][:len(errors)]
		for class, e := range errors {
			row[class] += e * f.weight
		}
	}
}

// score fills the classes' scores of a text.
//
//go:norace
func (c *Classifier) score(features []feature, scores []float32) {
	clear(scores)
	// The rows lie anywhere in memory: all are asked for before the first is needed.
	touched := float32(0)
	for _, f := range features {
		at := int(f.row) * len(scores)
		touched += c.weights[at] + c.weights[at+len(scores)/2] + c.weights[at+len(scores)-1]
	}
	runtime.KeepAlive(touched)
	for _, f := range features {
		row := c.weights[int(f.row)*len(scores):][:len(scores)]
		for class, w := range row {
			scores[class] += w * f.weight
		}
	}
}

// softmax turns scores into probabilities.
//
//go:norace
func softmax(scores []float32) {
	best := scores[0]
	for _, s := range scores {
		best = max(best, s)
	}
	total := float32(0)
	for i, s := range scores {
		scores[i] = float32(math.Exp(float64(s - best)))
		total += scores[i]
	}
	for i := range scores {
		scores[i] /= total
	}
}

// crew is goroutines that do one piece of work after another together.
type crew struct {
	work []chan func(worker, of int)
	done sync.WaitGroup // pieces
	ends sync.WaitGroup // goroutines
}

func newCrew() *crew {
	c := &crew{work: make([]chan func(worker, of int), min(workers, runtime.GOMAXPROCS(0)))}
	for i := range c.work {
		c.work[i] = make(chan func(worker, of int))
		c.ends.Go(func() {
			for f := range c.work[i] {
				f(i, len(c.work))
				c.done.Done()
			}
		})
	}
	return c
}

// do runs f on every worker and waits for all.
func (c *crew) do(f func(worker, of int)) {
	c.done.Add(len(c.work))
	for _, w := range c.work {
		w <- f
	}
	c.done.Wait()
}

func (c *crew) close() {
	for _, w := range c.work {
		close(w)
	}
	c.ends.Wait()
}
