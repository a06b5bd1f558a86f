"""What requests want of a transcript: with edits, normalized, searched, in a format of `shared/formats`. Pure."""
