"""How complex a request is: its features and their score, the same as the router gives."""
