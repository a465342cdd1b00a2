"""The routing policy: what a spec and the plans ask for (translate), as data (ir), and as Envoy's files (envoy)."""
