"""The Kubernetes API: watching, listing, applying, and what the watches hold."""
