"""Who may come in: callers, their keys, and what each may do and use."""
