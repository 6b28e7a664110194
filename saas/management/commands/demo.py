"""`manage.py demo`: tell the demo's story against a system that is up."""

from __future__ import annotations

import logging
from typing import Any

import httpx
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from openai import OpenAIError

from saas.demo.identities import DemoFailed
from saas.demo.narration import Narration
from saas.demo.story import Story
from saas.settings.environment import VAR
from tenants.kernel.errors import BreakwaterError


class Command(BaseCommand):
    help = "Two organisations fine-tune on real data at once, call their models, see the cost."

    def handle(self, *args: Any, **options: Any) -> None:
        del args, options
        for chatty in ("httpx", "httpx2", "stripe"):  # the narration says what matters
            logging.getLogger(chatty).setLevel(logging.WARNING)
        narration = Narration()
        story = Story(settings.BASE_URL, VAR, narration)
        try:
            story.tell()
        except (DemoFailed, BreakwaterError, OpenAIError, httpx.HTTPError) as error:
            raise CommandError(f"the demo stopped: {error}") from error
        narration.say(closing_words(story, narration.elapsed))


def closing_words(story: Story, elapsed: float) -> str:
    """Where to go next: addresses, logins, a key, and a first call."""
    file = story.file
    customer, operator = file.identities["customer"], file.identities["operator"]
    return f"""
Done in {elapsed:.0f} s. Breakwater is running at {file.base_url}

  console     {file.base_url}/console/      {customer.email}   {customer.password}
  operations  {file.base_url}/operations/   {operator.email}   {operator.password}
  API docs    {file.base_url}/docs

  curl {file.openai_base_url}/chat/completions -H 'Authorization: Bearer {customer.api_key}' \\
    -H 'Content-Type: application/json' \\
    -d '{{"model": "{file.fine_tuned_models[0]}", "max_tokens": 40,
         "messages": [{{"role": "user", "content": "What does json.dumps do?"}}]}}'

All of this is kept in {story.path}. Stop the system with: make down
"""
