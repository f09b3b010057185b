// Package framework turns a policy and plugins into a running HTTP service.
//
// Six words carry it. A Policy says what is served and how (package policy). A Route is one entry of it. A Plugin contributes
// named handlers; a Handler is a function of a detached Request, so that nothing of one request can leak into another and a
// test calls it without a server. A Host is what the framework lends a plugin. An App is a policy and plugins, built into one
// running generation; a reload builds a whole new one, swaps it in, lets the old one drain and closes it, and when anything
// fails to build nothing changes.
//
// The way of a request is the list in pipeline.go, which `explain` prints. Four things in it differ from what one might expect:
//
//   - A hit leaves before the server's parser: see front.go. What passes the front takes the whole way.
//   - The policy's own tree chooses the route, not Fiber's router, which takes the server's requests and hands all of them on.
//     The tree is what explains and checks a policy too, and its cost does not grow with the number of routes.
//   - A handler runs on a goroutine of its own, and the goroutine of the connection waits for it: no longer than the route's
//     timeout, and no longer than the client stays. A handler that goes on after that is abandoned, counted and bounded.
//   - On a cached route the handler sees only the inputs that are in the cache key. What is not declared reads as absent.
package framework
