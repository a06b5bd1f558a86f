"""Remote engines: providers with OpenAI's transcription API, failover between them, and circuit breakers."""
