"""Remote engines: providers that speak OpenAI's transcription API, who comes after whom, and when one is left alone."""
