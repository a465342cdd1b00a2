"""SLIME launch scripts, read as bash would read them without running them, as tiers of a cluster."""
