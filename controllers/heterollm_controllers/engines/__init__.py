"""The life of an engine: revision, placement, roll-out, restart, standby."""
