"""Requests to addresses that a client named, webhooks and sources: where they may go, and how."""
