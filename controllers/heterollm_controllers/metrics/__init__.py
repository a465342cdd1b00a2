"""What Prometheus said, joined with the engines that exist. What is unknown stays unknown."""
