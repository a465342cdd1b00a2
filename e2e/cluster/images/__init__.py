"""Container images without a registry: a local base, the project's own Dockerfiles, archives for containerd."""
