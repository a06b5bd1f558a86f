"""The transcript as text: plain, subtitles (SubRip, WebVTT) and speaker turns (RTTM). Pure; `render` is the entry."""
