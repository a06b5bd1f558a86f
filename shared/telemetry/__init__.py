"""Counters, gauges and histograms that cost next to nothing, and Prometheus' text of them."""
