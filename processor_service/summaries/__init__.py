"""Summaries, chapters and action items of a transcript, made by providers of a chat API."""
