"""The routing policy as the files that Envoy reads: pure data in, text out."""
