"""Sources that a client named by URL: fetched as the first step of `prepare`, and stored as an upload would be."""
