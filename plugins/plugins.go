// Package plugins lists the plugins that the chatbot is built with.
package plugins

import (
	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/plugins/admin"
	"github.com/innatural/chatbot/plugins/analytics"
	"github.com/innatural/chatbot/plugins/cacheadmin"
	"github.com/innatural/chatbot/plugins/catalog"
	"github.com/innatural/chatbot/plugins/chat"
	"github.com/innatural/chatbot/plugins/faq"
	"github.com/innatural/chatbot/plugins/health"
	"github.com/innatural/chatbot/plugins/metrics"
	"github.com/innatural/chatbot/plugins/proxy"
	"github.com/innatural/chatbot/plugins/qualification"
	"github.com/innatural/chatbot/plugins/widget"
)

// Standard returns them. A program of your own appends its own to the list, or makes another list.
func Standard() []framework.Plugin {
	return []framework.Plugin{
		// The shop.
		catalog.Plugin(),
		faq.Plugin(),
		chat.Plugin(),
		qualification.Plugin(),
		analytics.Plugin(),
		widget.Plugin(),
		// Other servers.
		proxy.Plugin(),
		// Its operation.
		health.Plugin(),
		metrics.Plugin(),
		cacheadmin.Plugin(),
		admin.Plugin(),
	}
}
