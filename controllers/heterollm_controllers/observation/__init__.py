"""The cluster as it is: objects and earlier status, read into typed state."""
