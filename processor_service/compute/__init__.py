"""The child processes that do the maths: one a slot, each with a warm model, killable at any moment."""
