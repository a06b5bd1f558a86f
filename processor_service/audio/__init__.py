"""Audio as arrays and streams: decode, split, denoise, resample. Synchronous, knows no database or network."""
