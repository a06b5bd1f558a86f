"""How much a tenant may use: its quotas, the rate of its requests, and what it has used."""
