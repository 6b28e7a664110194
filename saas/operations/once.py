"""Forms that move money act once, however often they are sent."""

from __future__ import annotations

from django import forms

from tenants.kernel.ids import new_id


class OnceForm(forms.Form):
    """Carries a key from when it was opened; its service acts once for each key.

    Sent twice (a double click, a page loaded again), the second changes nothing; with something
    else written into it, it is refused.
    """

    key = forms.CharField(widget=forms.HiddenInput, max_length=40, initial=lambda: new_id("key_"))
