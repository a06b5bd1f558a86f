"""`headrace`: the command for people. A client of the public API; it imports no service."""
