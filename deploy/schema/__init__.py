"""How the schema changes while the services run: files in two phases, applied with limits, read by a lint before."""
