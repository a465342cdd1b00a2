"""The server flags of SGLang, release by release: what a user's arguments mean, and what is wrong with them."""
