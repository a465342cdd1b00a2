"""The router agent: brings the cluster's routing policy from its ConfigMap to the Envoy beside it.

A policy's way: policy_watch -> policy (parsed) -> policy_store (newer?) -> apply_policy, which writes xds_directory in
policy_stages and waits for Envoy in wait_in_effect. API keys go from secret_mounts to Envoy. http_pages reports on all.
"""
