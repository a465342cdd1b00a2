"""What `heterollm report` writes of a cluster and its Prometheus, as a user runs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from e2e.monitoring.start import Monitoring
from e2e.scenarios.chat_cluster import NAME, ChatCluster
from e2e.stack import StackError

__all__ = ["write_report"]


def write_report(chat: ChatCluster, monitoring: Monitoring, output: Path) -> str:
    """Write a file, of the last hour, and return its text.

    Raises:
        StackError: the command failed; the message is its own.
    """
    command = [str(Path(sys.executable).with_name("heterollm")), "report", NAME, "-n", chat.namespace]
    command += ["--kubeconfig", str(chat.stack.layout.kubeconfig), "--prometheus", monitoring.url, "--since", "1h"]
    command += ["--title", "One whole migration, on SIMULATED engines", "-o", str(output)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise StackError(done.stderr.strip())
    return output.read_text()
