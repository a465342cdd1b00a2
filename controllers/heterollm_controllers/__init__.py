"""The pure core: what a cluster should look like, decided from its spec and what was observed, without I/O or clock."""
