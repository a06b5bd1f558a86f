"""The transcript in each format, one file a format. Pure."""
