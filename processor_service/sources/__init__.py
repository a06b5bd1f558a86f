"""Sources that clients name by URL: `prepare` fetches and stores them first, as if they were uploaded."""
