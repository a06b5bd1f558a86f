"""What both services must agree on: names, states, schemas, blob keys, settings and logs.

Imports the standard library, msgspec and the blob store binding only; an import contract checks it.
"""
