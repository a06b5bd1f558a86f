"""What a tenant may use and has used: quotas, rate limits, usage."""
