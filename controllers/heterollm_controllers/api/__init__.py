"""What users write and read, and the words of it: the ground floor, which imports nothing of ours."""
