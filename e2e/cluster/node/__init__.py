"""The full mode of the embedded cluster: a real node in namespaces of its own."""
