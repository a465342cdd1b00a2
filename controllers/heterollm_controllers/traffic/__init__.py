"""Who answers whose requests: the health of tiers, and the fallback."""
