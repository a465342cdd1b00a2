"""The router agent: brings the cluster's routing policy from its ConfigMap to the Envoy beside it."""
