"""OpenAI's audio API over the jobs of this service."""
