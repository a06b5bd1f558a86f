"""Makes a job of what was handed in: recorded, fingerprinted, its first task's bell rung."""
