"""The API of whisper-asr-webservice, `/asr` and `/detect-language`, as a face of normal jobs."""
