"""Divides a transcript into subtitle cues and their lines. Pure."""
