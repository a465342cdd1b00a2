"""The thin shell: watches, applies and serves what `heterollm_controllers` decides."""
