"""One reconcile of a cluster: Observed in, Outcome out. The contract with the shell, and the steps between."""
