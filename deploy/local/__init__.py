"""The local stack: PostgreSQL, Valkey and both services on this machine, from one command. Not for production."""
