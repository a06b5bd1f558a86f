"""Webhooks: build the event, sign it by Standard Webhooks 1.0, deliver it. Never holds a compute slot."""
