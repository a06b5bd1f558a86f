"""The HTTP routes, one file a resource: each handler parses, calls a use case and returns a Struct or a stream."""
