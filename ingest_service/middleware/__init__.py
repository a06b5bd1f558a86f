"""What every request meets: limits, ids, error answers, headers, the access log."""
