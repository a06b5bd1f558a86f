"""Model weights: the catalogue, the sources, and the local cache that compute children load from."""
