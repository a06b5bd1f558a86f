"""The transcript as text: plain, subtitles (SubRip, WebVTT) and who spoke when (RTTM). Pure; `render` is the door."""
