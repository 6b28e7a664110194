"""What an invoice line says in words, in English and Chinese. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from tenants.billing.documents.view import Line
from tenants.billing.stating import LATE, LineKey
from tenants.pricing.rating import ADJUSTMENT, CAP, PLAN_FEE, QUOTE_CAP, TRUE_UP, USAGE, WAIVER
from tenants.usage.meters import METERS

CREDIT = "credit"  # the line of a top-up


@dataclass(frozen=True)
class Phrases:
    """What lines say in one language: by kind, by meter, by unit; where a language has no word for
    one, the meter's own stands.
    """

    kinds: Mapping[str, str]
    meters: Mapping[str, str]
    units: Mapping[str, str]
    usage: str
    late: str


ENGLISH = Phrases(
    kinds={
        PLAN_FEE: "Plan fee",
        TRUE_UP: "Minimum commitment, amount not used",
        CAP: "Monthly cap, amount above it",
        QUOTE_CAP: "Work that cost more than its quote: kept to the quote",
        ADJUSTMENT: "Discounts and surcharges of quotes",
        WAIVER: "Work that failed by our fault: not charged",
        CREDIT: "Prepaid credit",
    },
    meters={name: meter.description for name, meter in METERS.items()},
    units={},
    usage="{meter}: {what}",
    late="{text} ({month}, counted late)",
)
CHINESE = Phrases(
    kinds={
        PLAN_FEE: "套餐费",
        TRUE_UP: "最低消费承诺的未使用部分",
        CAP: "超出每月封顶金额的部分",
        QUOTE_CAP: "超出报价的部分：按报价收取",
        ADJUSTMENT: "报价中的折扣与附加费",
        WAIVER: "因我方原因失败的任务：不收费",
        CREDIT: "预付余额",
    },
    meters={
        "tokens.input": "重新计算的输入词元",
        "tokens.cached": "从前缀缓存读取的输入词元",
        "tokens.output": "生成的词元",
        "tokens.embedded": "嵌入文本的词元",
        "tokens.trained": "训练的词元",
        "tokens.evaluated": "评估的词元",
        "requests": "模型调用次数",
        "storage.gb_hours": "存储字节数 / 10^9 x 小时",
        "deployment.hours": "部署就绪时长",
        "slot.seconds": "工作进程槽位时长",
        "plugin.units": "插件申报的用量",
        "service.units": "服务的交付量",
    },
    units={
        "token": "词元",
        "request": "次",
        "GB-hour": "GB 小时",
        "hour": "小时",
        "slot-second": "槽位秒",
        "unit": "单位",
    },
    usage="{meter}：{what}",
    late="{text}（{month}，后计入）",
)


def phrases_of(language: str) -> Phrases:
    """The phrases of a language code ("en", "zh-hans"); English for any other."""
    return CHINESE if language.lower().startswith("zh") else ENGLISH


def description_of(key: LineKey, *, late: dt.date | None = None, phrases: Phrases = ENGLISH) -> str:
    """`tokens.input: prompt tokens computed afresh, breakwater-mini-1`; a late line names its
    month.
    """
    is_usage = key.kind == USAGE
    text = _usage(key.price_key, phrases) if is_usage else phrases.kinds.get(key.kind, key.kind)
    return phrases.late.format(text=text, month=f"{late:%Y-%m}") if late else text


def line_said(line: Line, language: str) -> str:
    """A line's description in `language`. English is what was issued, and stands as it is."""
    phrases, key = phrases_of(language), line.key or LineKey(line.kind, line.revenue)
    if phrases is ENGLISH or not (key.price_key or key.kind in phrases.kinds):
        return line.description
    late = dt.date.fromisoformat(f"{line.period}-01") if line.kind == LATE else None
    return description_of(key, late=late, phrases=phrases)


def unit_said(unit: str, language: str) -> str:
    return phrases_of(language).units.get(unit, unit)


def meter_of(price_key: str) -> str:
    return price_key.partition("?")[0]


def unit_of(price_key: str) -> str:
    meter = METERS.get(meter_of(price_key))
    return meter.unit if meter else ""


def kind_of(key: LineKey, *, late: bool) -> str:
    """An invoice line's kind: a late one's stays what it is, but usage that came late."""
    return LATE if late else key.kind


def _usage(price_key: str, phrases: Phrases) -> str:
    name, _, match = price_key.partition("?")
    values = [unquote(pair.partition("=")[2]) for pair in match.split("&") if pair]
    meaning = phrases.meters.get(name)
    what = phrases.usage.format(meter=name, what=meaning) if meaning else name
    return ", ".join([what, *values])
