"""Kubeconfigs of the node's programs, issued by the control plane's authority."""

from __future__ import annotations

import subprocess
from pathlib import Path

from e2e.cluster.node.errors import NodeError
from e2e.cluster.node.layout import API_PORT, NODE_ADDRESS, Layout

__all__ = ["issue_kubeconfig"]


def issue_kubeconfig(layout: Layout, control_plane: Path, user: str, *groups: str) -> Path:
    """Write and return a kubeconfig by which a program inside the cluster is `user`."""
    command = [str(control_plane), "kubeconfig", "--data-dir", str(layout.control_plane)]
    command += ["--server", f"https://{NODE_ADDRESS}:{API_PORT}", "--user", user]
    command += [f"--group={group}" for group in groups]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        raise NodeError(f"could not issue credentials for {user}:\n{run.stderr.strip()}")
    path = layout.config / f"{user.replace(':', '-')}.kubeconfig"
    path.touch(mode=0o600)
    path.write_text(run.stdout)
    return path
