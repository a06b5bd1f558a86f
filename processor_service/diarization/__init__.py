"""Who speaks when: the voices heard in a chunk, one clustering over the whole file, labels on the transcript."""
