"""English and 简体中文: nothing is left untranslated, and what is served is what is written."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from django.utils.translation import override

from saas.console.register import console
from saas.operations.register import operations
from tests.saas.console.catalogue import asked, compiled, written
from tests.saas.console.factories import Person, job_make

CHINESE = re.compile(r"[一-鿿]")
SAME_IN_BOTH = {"SHA-256"}
FIELDS = re.compile(r"%\([a-z_]+\)[sd]|\{[a-z]+\}")


def test_every_word_asked_for_is_translated() -> None:
    translations = written()

    missing = {text: str(path) for text, path in asked().items() if not translations.get(text)}

    assert missing == {}


def test_every_translation_is_chinese_and_keeps_its_fields() -> None:
    for message, translation in written().items():
        if not message:
            continue
        assert CHINESE.search(translation) or message in SAME_IN_BOTH, message
        assert sorted(FIELDS.findall(message)) == sorted(FIELDS.findall(translation)), message


def test_nothing_is_translated_that_nobody_asks_for() -> None:
    assert set(written()) - set(asked()) - {""} == set()


def test_the_compiled_catalogue_is_the_written_one() -> None:
    assert compiled() == written()


@pytest.mark.django_db
def test_the_language_is_switched_and_kept(owner: Person) -> None:
    owner.post("/i18n/setlang/", language="zh-hans", next="/console/")

    page = owner.get("/console/jobs/job/").content.decode()

    assert 'lang="zh-hans"' in page
    assert "任务" in page


@pytest.mark.django_db
def test_the_browsers_language_is_taken_at_the_door() -> None:
    page = Client(headers={"Accept-Language": "zh-CN,zh;q=0.9"}).get("/accounts/signup/")

    assert "创建组织" in page.content.decode()
    assert "您的姓名" in page.content.decode()


@pytest.mark.django_db
@pytest.mark.parametrize("site", [console, operations])
def test_lists_hold_no_english_word_that_has_a_translation(
    site: object, owner: Person, operator: Person
) -> None:
    job_make(owner)
    person = owner if site is console else operator
    english = {text for text in written() if len(text) > 3 and text not in SAME_IN_BOTH}
    person.client.cookies["django_language"] = "zh-hans"

    for model in site._registry:  # type: ignore[attr-defined]
        url = f"/{site.name}/{model._meta.app_label}/{model._meta.model_name}/"  # type: ignore[attr-defined]
        shown = visible_texts(person.get(url).content.decode())
        assert shown & english == set(), url


def visible_texts(page: str) -> set[str]:
    """The texts between tags, scripts and styles left out."""
    bare = re.sub(r"<(script|style)\b.*?</\1>", "", page, flags=re.DOTALL)
    return {text.strip() for text in re.split(r"<[^>]*>", bare)} - {""}


def test_durations_read_in_both_languages() -> None:
    from saas.console.columns import as_duration

    with override("zh-hans"):
        assert as_duration(3700) == "1 小时 1 分"
    with override("en"):
        assert [as_duration(s) for s in (None, 0, 59.4, 61, 3600)] == [
            "–", "0 s", "59 s", "1 min 1 s", "1 h",
        ]  # fmt: skip
