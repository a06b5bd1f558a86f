"""Audio as arrays and streams: decode, split, denoise, resample. Synchronous; uses no database or network."""
