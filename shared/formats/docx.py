"""A Word document: a title, and paragraphs with their speaker and time.

The parts that Office Open XML (ECMA-376) demands, in a ZIP file. The same transcript gives the same bytes, for ETags.
"""

import io
import re
import zipfile
from collections.abc import Iterator
from xml.sax.saxutils import escape

from shared.formats.about import Block, about_of
from shared.formats.direction import is_rtl
from shared.formats.paragraphs import Passage, clock, passages_of
from shared.formats.style import Style
from shared.schemas.transcript import Transcript
from shared.subtitles.lines import joined

XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
OOXML = "http://schemas.openxmlformats.org"
WORD = f"{OOXML}/wordprocessingml/2006/main"
PACKAGE = f"{OOXML}/package/2006"
DOCUMENT_TYPE = "application/vnd.openxmlformats-officedocument.wordprocessingml"
NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # characters that XML 1.0 excludes
TYPES = (
    f'{XML}<Types xmlns="{PACKAGE}/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    f'<Override PartName="/word/document.xml" ContentType="{DOCUMENT_TYPE}.document.main+xml"/>'
    f'<Override PartName="/word/styles.xml" ContentType="{DOCUMENT_TYPE}.styles+xml"/></Types>'
)
STYLES = (
    f'{XML}<w:styles xmlns:w="{WORD}"><w:docDefaults><w:rPrDefault><w:rPr><w:sz w:val="22"/></w:rPr></w:rPrDefault>'
    '<w:pPrDefault><w:pPr><w:spacing w:after="160" w:line="276" w:lineRule="auto"/></w:pPr></w:pPrDefault>'
    "</w:docDefaults>"
    '<w:style w:type="paragraph" w:default="1" w:styleId="Normal"><w:name w:val="Normal"/></w:style>'
    '<w:style w:type="paragraph" w:styleId="Title"><w:name w:val="Title"/><w:basedOn w:val="Normal"/>'
    '<w:rPr><w:b/><w:bCs/><w:sz w:val="36"/><w:szCs w:val="36"/></w:rPr></w:style>'
    '<w:style w:type="paragraph" w:styleId="Heading2"><w:name w:val="heading 2"/><w:basedOn w:val="Normal"/>'
    '<w:pPr><w:keepNext/><w:spacing w:before="200" w:after="40"/><w:outlineLvl w:val="1"/></w:pPr>'
    "<w:rPr><w:b/><w:bCs/></w:rPr></w:style></w:styles>"
)


def _relations(name: str, target: str) -> str:
    kind = f"{OOXML}/officeDocument/2006/relationships/{name}"
    relation = f'<Relationship Id="rId1" Type="{kind}" Target="{target}"/>'
    return f'{XML}<Relationships xmlns="{PACKAGE}/relationships">{relation}</Relationships>'


def render_docx(transcript: Transcript, style: Style) -> bytes:
    """Render the document."""
    title = style.recording.title
    blocks = [_paragraph(title, "Title", rtl=is_rtl(title, None))]
    blocks += map(_about, about_of(transcript))
    for passage in passages_of(transcript):
        blocks += _blocks(passage, transcript.language)
    body = f'{XML}<w:document xmlns:w="{WORD}"><w:body>{"".join(blocks)}</w:body></w:document>'
    return _zipped(
        {
            "[Content_Types].xml": TYPES,
            "_rels/.rels": _relations("officeDocument", "word/document.xml"),
            "word/document.xml": body,
            "word/styles.xml": STYLES,
            "word/_rels/document.xml.rels": _relations("styles", "styles.xml"),
        }
    )


def _about(block: Block) -> str:
    text = f"{block.time} · {block.text}" if block.kind == "item" else block.text
    return _paragraph(text, "Heading2" if block.kind == "heading" else "Normal", rtl=is_rtl(block.text, None))


def _blocks(passage: Passage, language: str | None) -> Iterator[str]:
    text = joined(passage.pieces)
    rtl = is_rtl(text, passage.sentences[0][0].language or language)
    names = [" ".join(passage.speaker.split())] if passage.speaker else []
    yield _paragraph(" · ".join([*names, clock(passage.start_s)]), "Heading2", rtl=rtl)
    yield _paragraph(text, "Normal", rtl=rtl)


def _paragraph(text: str, style: str, *, rtl: bool) -> str:
    of_paragraph, of_run = ("<w:bidi/>", "<w:rPr><w:rtl/></w:rPr>") if rtl else ("", "")
    clean = escape(NOT_XML.sub("", text))
    return (
        f'<w:p><w:pPr><w:pStyle w:val="{style}"/>{of_paragraph}</w:pPr>'
        f'<w:r>{of_run}<w:t xml:space="preserve">{clean}</w:t></w:r></w:p>'
    )


def _zipped(parts: dict[str, str]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, text in parts.items():
            info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, text)
    return file.getvalue()
