"""Takes an upload in: its bytes into the blob store, its options into a Struct."""
