"""Model weights: which there are, where they come from, and the local cache that the children load from."""
