// The program that writes the dashboards. A module of its own keeps Grafana's SDK out of the product.
module github.com/innatural/chatbot/dashboards/generate

go 1.26.0

require github.com/grafana/grafana-foundation-sdk/go v0.0.22
