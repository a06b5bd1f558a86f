"""The HTTP routes, one file a resource. Each handler parses the request, calls a use case and returns its result."""
