"""Markdown of ours as HTML for our pages. Markup in it is shown, not obeyed."""

from __future__ import annotations

from functools import cache

from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt


def as_html(text: str) -> SafeString:
    """CommonMark with tables. https://spec.commonmark.org"""
    rendered: str = _parser().render(text)
    return mark_safe(rendered)  # noqa: S308 -- `html` is off: it escapes markup


@cache
def _parser() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}).enable("table")
