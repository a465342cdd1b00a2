"""What every part of the process uses: time, metrics, logs, threads."""
