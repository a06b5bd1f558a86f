"""Webhooks: read the stored event, sign it by Standard Webhooks 1.0, send it, evaluate the answer.

Webhooks have their own queue and never use a compute slot.
"""
