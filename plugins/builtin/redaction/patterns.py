"""Personal data that has a fixed shape, confirmed by its check digits where it has some."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass


def luhn_holds(text: str) -> bool:
    """ISO/IEC 7812-1, annex B: the check digit of payment cards."""
    digits = [int(c) for c in text if c.isdigit()]
    doubled = [d * 2 - 9 * (d > 4) for d in digits[-2::-2]]
    return 13 <= len(digits) <= 19 and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def iban_holds(text: str) -> bool:
    """ISO 13616: the remainder of the rearranged number by 97 is 1."""
    plain = text.replace(" ", "").upper()
    turned = plain[4:] + plain[:4]
    return 15 <= len(plain) <= 34 and int("".join(str(int(c, 36)) for c in turned)) % 97 == 1


def cn_id_holds(text: str) -> bool:
    """GB 11643-1999: ISO 7064 MOD 11-2 over the first 17 digits."""
    total = sum(int(digit) * pow(2, 17 - i, 11) for i, digit in enumerate(text[:17]))
    return "10X98765432"[total % 11] == text[17].upper()


def ip_holds(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


@dataclass(frozen=True)
class Kind:
    pattern: re.Pattern[str]
    holds: Callable[[str], bool] = lambda _: True


# in this order: a longer number is not taken for a telephone's
KINDS: Mapping[str, Kind] = {
    "email": Kind(re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+", re.ASCII)),
    "iban": Kind(
        re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b"), iban_holds
    ),
    "cn_id": Kind(re.compile(r"(?<!\d)\d{17}[\dXx](?![\dXx])"), cn_id_holds),
    "card": Kind(re.compile(r"(?<!\d)\d(?:[ -]?\d){12,18}(?!\d)"), luhn_holds),
    "ip": Kind(re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])"), ip_holds),
    "phone": Kind(
        re.compile(
            r"(?<![\w.-])(?:\+\d{1,3}[ -]?(?:\(?\d{1,4}\)?[ -]?){2,4}\d{2,4}|1[3-9]\d{9})(?![\w-])"
        )
    ),
}


def redact(text: str, kinds: Mapping[str, Kind] = KINDS) -> tuple[str, dict[str, int]]:
    """Return the text with `[EMAIL]` and so on in place, and how many of each there were."""
    counts: dict[str, int] = {}

    for name, kind in kinds.items():

        def replaced(match: re.Match[str], name: str = name, kind: Kind = kind) -> str:
            if not kind.holds(match.group()):
                return match.group()
            counts[name] = counts.get(name, 0) + 1
            return f"[{name.upper()}]"

        text = kind.pattern.sub(replaced, text)
    return text, counts
