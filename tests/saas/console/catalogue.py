"""The sources of the web admins' words: what they ask to translate, what the catalogue answers."""

from __future__ import annotations

import ast
import gettext
import re
from collections.abc import Iterator
from pathlib import Path

from django.utils.translation.template import templatize

from saas.runtime.layout import ROOT

LOCALE = ROOT / "saas" / "locale" / "zh_Hans" / "LC_MESSAGES"
NAMES = {"_", "gettext", "gettext_lazy", "gettext_noop"}
CONTEXT_NAMES = {"pgettext", "pgettext_lazy"}
CONTEXT = "\x04"  # between context and message in a .mo (GNU gettext manual, 10.3)


def asked() -> dict[str, Path]:
    """Every message that Python and templates of saas/ ask for → where."""
    found: dict[str, Path] = {}
    for path in sorted((ROOT / "saas").rglob("*.py")):
        found |= dict.fromkeys(of_python(path.read_text()), path)
    for path in sorted((ROOT / "saas" / "templates").rglob("*.html")):
        found |= dict.fromkeys(of_template(path.read_text()), path)
    return found


def of_python(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        texts = [a.value for a in node.args if isinstance(a, ast.Constant)]
        if node.func.id in NAMES and texts:
            yield str(texts[0])
        elif node.func.id in CONTEXT_NAMES and len(texts) > 1:
            yield f"{texts[0]}{CONTEXT}{texts[1]}"


def of_template(source: str) -> Iterator[str]:
    """Django's own reading of a template: Python-like text with gettext calls in it."""
    python = templatize(source)
    for call in re.finditer(r"\b(n?)gettext\((.*?)\)(?=\s)", python, re.DOTALL):
        texts = [
            value
            for value in ast.walk(ast.parse(f"f({call[2]})"))
            if isinstance(value, ast.Constant)
        ]
        yield str(texts[0].value)
    for call in re.finditer(r"(?<!\w)_\((\"[^\"]+\"|'[^']+')\)", source):
        yield str(ast.literal_eval(call[1]))


def written() -> dict[str, str]:
    """The .po file, read without gettext's tools: message → translation."""
    entries: dict[str, str] = {}
    for block in (LOCALE / "django.po").read_text().split("\n\n"):
        part: dict[str, str] = {}
        key = ""
        for line in block.splitlines():
            if line.startswith("#"):
                continue
            word, _, rest = line.partition(" ") if not line.startswith('"') else (key, "", line)
            key = word
            part[key] = part.get(key, "") + ast.literal_eval(rest)
        message = part.get("msgid", "")
        if "msgctxt" in part:
            message = f"{part['msgctxt']}{CONTEXT}{message}"
        entries[message] = part.get("msgstr", part.get("msgstr[0]", ""))
    return entries


def compiled() -> dict[str, str]:
    """The .mo file as Python's gettext loads it."""
    with (LOCALE / "django.mo").open("rb") as file:
        loaded = gettext.GNUTranslations(file)
    entries = loaded._catalog  # type: ignore[attr-defined]
    return {key[0] if isinstance(key, tuple) else key: text for key, text in entries.items()}
