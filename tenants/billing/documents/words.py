"""The documents' fixed words, in English and Chinese."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Words:
    """`font` is one that every PDF reader has: documents embed none."""

    language: str
    font: str
    bold: str
    invoice: str
    draft: str
    number: str
    period: str
    issued: str
    due_date: str
    seller: str
    customer: str
    tax_id: str
    description: str
    quantity: str
    amount: str
    net: str
    tax: str
    total: str
    allowance: str
    promotion: str
    prepaid: str
    brought_forward: str
    due: str
    paid: str
    credited: str
    remaining: str
    reverse_charge: str
    how_to_pay: str
    page: str


ENGLISH = Words(
    language="en",
    font="Helvetica",
    bold="Helvetica-Bold",
    invoice="Invoice",
    draft="Draft",
    number="Number",
    period="Period",
    issued="Issued",
    due_date="Due",
    seller="From",
    customer="To",
    tax_id="Tax ID",
    description="Description",
    quantity="Quantity",
    amount="Amount",
    net="Net",
    tax="{name} {rate} on {base}",
    total="Total",
    allowance="Paid from the plan's allowance",
    promotion="Paid from promotional credit",
    prepaid="Paid from prepaid credit",
    brought_forward="Brought forward",
    due="Amount due",
    paid="Payments received",
    credited="Credit notes",
    remaining="Left to pay",
    reverse_charge="Reverse charge: the customer accounts for the tax.",
    how_to_pay="How to pay",
    page="Page {page}",
)
CHINESE = Words(
    language="zh-hans",
    font="STSong-Light",
    bold="STSong-Light",
    invoice="账单",
    draft="草稿",
    number="编号",
    period="账期",
    issued="开具日期",
    due_date="到期日",
    seller="开票方",
    customer="收票方",
    tax_id="税号",
    description="项目",
    quantity="数量",
    amount="金额",
    net="不含税金额",
    tax="{name} {rate}（计税基数 {base}）",
    total="合计",
    allowance="由套餐额度支付",
    promotion="由赠送额度支付",
    prepaid="由预付余额支付",
    brought_forward="上期结转",
    due="应付金额",
    paid="已收款",
    credited="贷项通知",
    remaining="尚需支付",
    reverse_charge="反向征收：税款由客户自行申报。",
    how_to_pay="付款方式",
    page="第 {page} 页",
)


def words_of(language: str) -> Words:
    """Return the words of a language code ("en", "zh-hans"); English for any other."""
    return CHINESE if language.lower().startswith("zh") else ENGLISH
