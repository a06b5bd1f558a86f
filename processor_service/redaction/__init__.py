"""Redaction: finds personal data in what was said, and replaces it in a transcript. `find.py` lists the recognizers."""
