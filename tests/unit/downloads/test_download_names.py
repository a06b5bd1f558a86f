"""File names of downloads: no path, no header injection, and what browsers and curl read from the header."""

import email.message
import re
from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ingest_service.jobs.download_names import audio_name, content_disposition, result_name, safe_name

JOB = "019aa3c5-7a3e-7bd0-9c46-0d6c2f1f7f10"
HEADER = re.compile(
    r"""(?:attachment|inline);\ filename="[ !\#-\[\]-~]+"(?:;\ filename\*=UTF-8''(?:[A-Za-z0-9._~-]|%[0-9A-F]{2})+)?""",
    re.VERBOSE,
)


@pytest.mark.parametrize(
    ("sent", "audio", "subtitles"),
    [
        (None, f"{JOB}.wav", f"{JOB}.srt"),
        ("", f"{JOB}.wav", f"{JOB}.srt"),
        ("talk.wav", "talk.wav", "talk.srt"),
        ("Talk 1 (final).MP3", "Talk 1 (final).MP3", "Talk 1 (final).srt"),
        ("a.tar.gz.flac", "a.tar.gz.flac", "a.tar.gz.srt"),
        ("talk", "talk.wav", "talk.srt"),
        ("talk.html", "talk.html.wav", "talk.srt"),
        ("talk.exe", "talk.exe.wav", "talk.srt"),
        ("../../etc/passwd", "passwd.wav", "passwd.srt"),
        ("C:\\Users\\Zoë\\talk.m4a", "talk.m4a", "talk.srt"),
        ("/", f"{JOB}.wav", f"{JOB}.srt"),
        ("..", f"{JOB}.wav", f"{JOB}.srt"),
        (".wav", "wav.wav", "wav.srt"),
        (".ssh.wav", "ssh.wav", "ssh.srt"),
        ("talk.wav. . ", "talk.wav", "talk.srt"),
        ("CON.wav", "_CON.wav", "_CON.srt"),
        ("nul", "_nul.wav", "_nul.srt"),
        ('a"b;c=d.wav', "a_b;c=d.wav", "a_b;c=d.srt"),
        ("a%2e%2e%2fb.wav", "a_2e_2e_2fb.wav", "a_2e_2e_2fb.srt"),
        ("a\r\nSet-Cookie: x=1.wav", "aSet-Cookie_ x=1.wav", "aSet-Cookie_ x=1.srt"),
        ("x\u202egpj.wav", "xgpj.wav", "xgpj.srt"),
        ("Größe.wav", "Größe.wav", "Größe.srt"),
        ("Gro\u0308ße.wav", "Größe.wav", "Größe.srt"),
        ("会議.m4a", "会議.m4a", "会議.srt"),
        ("x" * 300 + ".wav", "x" * 200 + ".wav", "x" * 200 + ".srt"),
        ("会" * 200 + ".wav", "会" * 66 + ".wav", "会" * 66 + ".srt"),
    ],
)
def test_names(sent: str | None, audio: str, subtitles: str) -> None:
    assert audio_name(sent, JOB, "wav") == audio
    assert result_name(sent, JOB, "srt") == subtitles


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("talk.wav", 'attachment; filename="talk.wav"'),
        ("a b;c.wav", "attachment; filename=\"a b_c.wav\"; filename*=UTF-8''a%20b%3Bc.wav"),
        ("Größe.wav", "attachment; filename=\"Gro_e.wav\"; filename*=UTF-8''Gr%C3%B6%C3%9Fe.wav"),
        ("会議.srt", "attachment; filename=\"__.srt\"; filename*=UTF-8''%E4%BC%9A%E8%AD%B0.srt"),
        ("a℀b.srt", "attachment; filename=\"aa_cb.srt\"; filename*=UTF-8''a%E2%84%80b.srt"),
    ],
)
def test_the_header_has_an_ascii_name_and_the_exact_one(name: str, header: str) -> None:
    assert content_disposition("attachment", name) == header


@given(st.text(max_size=300))
@example("\ud800.wav")
@example('"; filename="evil.exe')
def test_every_name_is_safe_and_readable(sent: str) -> None:
    text = sent.encode(errors="ignore").decode()  # stored names have no lone surrogates
    for name in (audio_name(text, JOB, "wav"), result_name(text, JOB, "srt")):
        assert not set(name) & set('/\\<>:"|?*%\r\n\0')
        assert name.isprintable()
        assert name[0] not in " ."
        assert len(name.encode()) <= 255
        header = content_disposition("attachment", name)
        assert HEADER.fullmatch(header), header
        assert read_as_browsers_do(header) == name


def read_as_browsers_do(header: str) -> str:
    """Return the exact name if there is one, otherwise the plain one."""
    message = email.message.Message()
    message["Content-Disposition"] = header
    return unquote(header.partition("filename*=UTF-8''")[2]) or str(message.get_filename())


def test_a_name_without_printable_characters_is_none() -> None:
    assert safe_name("\x00\x1f\u200b") is None
