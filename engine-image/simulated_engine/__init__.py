"""A stand-in for one SGLang server: same command line, endpoints and metrics, answers made up by a performance model.

It exists so that scale, failures and roll-outs can be exercised without accelerators. Nothing it answers is the
output of a model, and every answer says so.
"""

SGLANG_VERSION = "0.5.23"
"""The SGLang release whose behaviour is imitated."""
