"""A cluster on a virtual clock: the real steering against modelled engines, routers and a modelled Prometheus.

No I/O, no clock, no randomness without a seed. What it says is a model's answer, and labelled simulated wherever it is
shown.
"""
