"""Children from templates: what is wanted, merged with the user's patches, compared with what lives."""
