"""The API types of serving.heterollm.io/v1alpha1, a file a topic: the source of the CRD, of parsing and of the docs.

Derived values (GPUs, parallelism, memory fraction, ...) have no default here: absent means "work it out"; only policy
constants have one. What all types share is in api/schema.py.
"""
