"""The gatekeeper: validates, stores, records and acknowledges uploads, and shows jobs and results to their clients.

Never does maths and never imports the processor; Postgres and the blob store are all the two have in common.
"""
