"""What a cluster costs, and what it would cost otherwise. Plain arithmetic, for operator, sizing and simulation."""
