"""Speech recognition: the engines and what surrounds them. `engines.py` is the registry."""
