"""The operator process: leader election, work queue, workers, health."""
