"""The child processes that decode and transcribe: one a slot, each with a warm model, killable at any time."""
