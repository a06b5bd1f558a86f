"""Sources that clients name by URL: fetched and stored without a compute slot, before `prepare`."""
