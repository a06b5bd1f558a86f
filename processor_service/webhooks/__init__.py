"""Webhooks: read the stored event, sign it by Standard Webhooks 1.0, send it where it may go, judge the answer.

They have a queue of their own and never hold a compute slot.
"""
