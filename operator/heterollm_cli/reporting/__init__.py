"""The parts of `heterollm report`: what is asked of Prometheus, what follows from it, and its two forms."""
