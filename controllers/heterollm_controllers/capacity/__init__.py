"""How many engines a tier should have."""
