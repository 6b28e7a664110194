"""An invoice as PDF, the same bytes for the same view.

reportlab's platypus lays out lines over pages; `invariant` leaves out dates and random ids.
Chinese is set in Adobe's STSong-Light, a CID font that readers bring along: nothing is embedded.
https://docs.reportlab.com/reportlab/userguide/ch3_fonts/
"""

from __future__ import annotations

import io
from xml.sax.saxutils import escape

from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfbase.pdfmetrics import registerFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable, Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

from tenants.billing.descriptions import line_said, unit_said
from tenants.billing.documents.figures import amount, percent, quantity
from tenants.billing.documents.view import InvoiceView, Line, Party
from tenants.billing.documents.words import CHINESE, Words, words_of

_WIDTHS = (92 * mm, 38 * mm, 40 * mm)
_GREY = colors.Color(0.45, 0.45, 0.45)
_HAIR = colors.Color(0.8, 0.8, 0.8)


def invoice_pdf(view: InvoiceView, *, language: str = "en") -> bytes:
    """Return the document in `language` ("en" or "zh-…")."""
    registerFont(UnicodeCIDFont(CHINESE.font))
    words = words_of(language)
    out = io.BytesIO()
    title = f"{words.invoice} {view.number or words.draft}"
    template = SimpleDocTemplate(
        out,
        pagesize=A4,
        leftMargin=20 * mm,
        rightMargin=20 * mm,
        topMargin=18 * mm,
        bottomMargin=18 * mm,
        title=title,
        author=view.seller.name,
        invariant=1,
    )

    def footer(canvas: Canvas, document: SimpleDocTemplate) -> None:
        canvas.setFont(words.font, 8)
        canvas.setFillColor(_GREY)
        canvas.drawString(20 * mm, 10 * mm, f"{view.seller.name} · {title}")
        page = words.page.format(page=document.page)
        canvas.drawRightString(A4[0] - 20 * mm, 10 * mm, page)

    template.build(_story(view, words, title), onFirstPage=footer, onLaterPages=footer)
    return out.getvalue()


def _story(view: InvoiceView, words: Words, title: str) -> list[Flowable]:
    return [
        _text(title, words, size=20, bold=True),
        Spacer(1, 6 * mm),
        _heads(view, words),
        Spacer(1, 8 * mm),
        _lines(view, words),
        Spacer(1, 4 * mm),
        _sums(view, words),
        *_notes(view, words),
    ]


def _text(
    text: str, words: Words, *, size: float = 9, bold: bool = False, align: int = 0
) -> Paragraph:
    style = ParagraphStyle(
        "text",
        fontName=_font(text, words, bold=bold),
        fontSize=size,
        leading=size * 1.35,
        alignment=align,
        wordWrap="CJK" if words is CHINESE else None,
    )
    return Paragraph(escape(text).replace("\n", "<br/>"), style)


def _font(text: str, words: Words, *, bold: bool) -> str:
    """The language's font; the Chinese one for any text that Latin-1 cannot hold."""
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        return CHINESE.font
    return words.bold if bold else words.font


def _heads(view: InvoiceView, words: Words) -> Table:
    facts = [
        (words.number, view.number or words.draft),
        (words.period, view.period),
        (words.issued, view.issued_on.isoformat() if view.issued_on else ""),
        (words.due_date, view.due_on.isoformat() if view.due_on else ""),
    ]
    about = "\n".join(f"{name}: {value}" for name, value in facts if value)
    cells = [
        [_text(words.seller, words, bold=True), _text(words.customer, words, bold=True), ""],
        [
            _text(_address(view.seller, words), words),
            _text(_address(view.customer, words), words),
            _text(about, words),
        ],
    ]
    return Table(cells, colWidths=[57 * mm, 63 * mm, 50 * mm], style=_flush())


def _address(party: Party, words: Words) -> str:
    tax_id = f"{words.tax_id}: {party.tax_id}" if party.tax_id else ""
    return "\n".join(line for line in (party.name, *party.address, tax_id, party.email) if line)


def _lines(view: InvoiceView, words: Words) -> Table:
    heads = [
        _text(words.description, words, bold=True),
        _text(words.quantity, words, bold=True, align=2),
        _text(f"{words.amount} ({view.currency})", words, bold=True, align=2),
    ]
    rows = [
        [
            _text(line_said(line, words.language), words),
            _text(
                f"{quantity(line.quantity)} {unit_said(line.unit, words.language)}".strip(),
                words,
                align=2,
            ),
            _text(amount(line.net, view.currency), words, align=2),
        ]
        for line in view.lines
    ]
    style = _flush()
    style.add("LINEBELOW", (0, 0), (-1, 0), 0.8, colors.black)
    style.add("LINEBELOW", (0, 1), (-1, -1), 0.3, _HAIR)
    return Table([heads, *rows], colWidths=_WIDTHS, style=style, repeatRows=1)


def _counted(line: Line, words: Words) -> str:
    return f"{quantity(line.quantity)} {unit_said(line.unit, words.language)}".strip()


def _sums(view: InvoiceView, words: Words) -> Table:
    currency = view.currency
    rows: list[tuple[str, str, bool]] = [(words.net, amount(view.net, currency), False)]
    for tax in view.taxes:
        name = words.tax.format(
            name=tax.name, rate=percent(tax.rate), base=amount(tax.base, currency)
        )
        rows.append((name, amount(tax.amount, currency), False))
    rows.append((words.total, amount(view.total, currency), True))
    settled = (
        (words.allowance, -view.allowance),
        (words.promotion, -view.promotion),
        (words.prepaid, -view.prepaid),
        (words.brought_forward, view.brought_forward),
    )
    rows += [(name, amount(value, currency), False) for name, value in settled if value]
    rows.append((words.due, f"{amount(view.due, currency)} {currency}", True))
    paid = ((words.paid, -view.paid), (words.credited, -view.credited))
    rows += [(name, amount(value, currency), False) for name, value in paid if value]
    if view.paid or view.credited:
        rows.append((words.remaining, f"{amount(view.remaining, currency)} {currency}", True))
    cells = [
        [_text(name, words, bold=bold, align=2), _text(value, words, bold=bold, align=2)]
        for name, value, bold in rows
    ]
    return Table(cells, colWidths=[130 * mm, 40 * mm], style=_flush())


def _notes(view: InvoiceView, words: Words) -> list[Flowable]:
    notes: list[Flowable] = []
    if view.reverse_charge:
        notes += [Spacer(1, 4 * mm), _text(words.reverse_charge, words)]
    if view.instructions and view.remaining > 0:
        notes += [Spacer(1, 6 * mm), _text(words.how_to_pay, words, bold=True)]
        notes.append(_text("\n".join(view.instructions), words))
    return notes


def _flush() -> TableStyle:
    return TableStyle(
        [
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("LEFTPADDING", (0, 0), (-1, -1), 0),
            ("RIGHTPADDING", (0, 0), (-1, -1), 0),
        ]
    )
