"""Requests to addresses that clients name (webhooks and sources): which addresses are allowed, and how to connect."""
