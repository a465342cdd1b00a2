"""What the operator reports: conditions, a file each; tiers; decisions."""
