"""Prometheus: the queries, their order and isolation, and the signals that their results give."""
