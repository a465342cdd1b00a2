"""How a cluster steers itself: from signals to engine counts and to the fallback that is in force. Pure."""
