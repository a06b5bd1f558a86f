"""Speaker diarization: voices of each chunk, one clustering over the file, and labels on the transcript."""
