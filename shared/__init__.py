"""What both services must agree on, and nothing else: names, states, schemas, blob keys, settings and logs.

Imports the standard library, msgspec and the blob store binding only; an import contract holds this.
"""
