"""Applies a client's corrections to a transcript. Pure; runs in the processes of renders, too."""
