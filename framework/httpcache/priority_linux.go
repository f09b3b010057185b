package httpcache

import "syscall"

// yieldToOthers gives the calling thread the lowest priority. On Linux a process id of 0 means the thread. That it may be refused
// does not matter: the work is the same.
func yieldToOthers() { _ = syscall.Setpriority(syscall.PRIO_PROCESS, 0, 19) }
