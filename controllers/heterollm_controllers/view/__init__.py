"""What do people see of clusters? Status and figures as one read-only view, and as pages."""
