"""From an operation to what it does: one decorated function for each, found by method and path."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.stripe_server.errors import Refused, missing
from tests.stripe_server.store import Object, Store

MOST_LISTED = 100
MOST_METADATA, MOST_NAME, MOST_VALUE = 50, 40, 500


class Params(Mapping[str, Any]):
    """What was sent. Remembers what was looked at: a handler may not overlook a parameter."""

    def __init__(self, given: Mapping[str, Any] | None = None) -> None:
        self._given = dict(given or {})
        self._read = {"expand"}

    def __getitem__(self, name: str) -> Any:
        self._read.add(name)
        return self._given[name]

    def __iter__(self) -> Iterator[str]:
        self._read |= self._given.keys()
        return iter(self._given)

    def __len__(self) -> int:
        return len(self._given)

    def unread(self) -> list[str]:
        return sorted(self._given.keys() - self._read)


@dataclass(frozen=True)
class Call:
    """One request that passed the contract. `account`: the connected account it is made for."""

    store: Store
    params: Params = field(default_factory=Params)
    ids: Mapping[str, str] = field(default_factory=dict)
    account: str | None = None
    path: str = ""

    def given(self, *names: str) -> Object:
        """The named parameters that were sent: those that only stand on the object."""
        return {name: self.params[name] for name in names if name in self.params}

    @property
    def id(self) -> str:
        return next(iter(self.ids.values()))


Handler = Callable[[Call], Object]
HANDLERS: dict[tuple[str, str], Handler] = {}


def handles(method: str, path: str) -> Callable[[Handler], Handler]:
    def register(handler: Handler) -> Handler:
        HANDLERS[method, path] = handler
        return handler

    return register


def retrieves(path: str, kind: str) -> None:
    """`GET path` answers with an object of a kind."""
    handles("GET", path)(lambda call: call.store.get(kind, call.id))


def lists(path: str, kind: str, *filters: str) -> None:
    """`GET path` answers with a list, the latest first; it may be narrowed by `filters`."""
    handles("GET", path)(lambda call: listed(call, kind, *filters))


def listed(
    call: Call,
    kind: str,
    *filters: str,
    also: Callable[[Object], bool] = lambda _one: True,
    **equal: Any,
) -> Object:
    """https://docs.stripe.com/api/pagination. `also`: what else holds of what is listed."""
    wanted = {name: call.params[name] for name in filters if name in call.params} | equal
    bounds = call.params.get("created")
    found = [
        one
        for one in call.store.where(kind, **wanted)
        if _created(one, bounds) and not one.get("_deleted") and also(one)
    ]
    return page(call, list(reversed(found)))


def page(call: Call, found: list[Object]) -> Object:
    """A page of what was found, after `starting_after` or before `ending_before`."""
    limit = call.params.get("limit", 10)
    if not 1 <= limit <= MOST_LISTED:
        raise Refused("Invalid limit: must be between 1 and 100", param="limit")
    ids = [one["id"] for one in found]
    if (after := call.params.get("starting_after")) is not None:
        found = found[_place(ids, after, "starting_after") + 1 :]
    if (before := call.params.get("ending_before")) is not None:
        found = found[: _place(ids, before, "ending_before")][-limit:]
    return {
        "object": "list",
        "data": found[:limit],
        "has_more": len(found) > limit,
        "url": call.path,
    }


def _place(ids: list[str], wanted: str, param: str) -> int:
    if wanted not in ids:
        raise missing("object", wanted, param)
    return ids.index(wanted)


def _created(one: Object, bounds: Any) -> bool:
    """https://docs.stripe.com/api/customers/list#list_customers-created"""
    if bounds is None:
        return True
    made = one["created"]
    if isinstance(bounds, int):
        return bool(made == bounds)
    return bool(
        made >= bounds.get("gte", made)
        and made <= bounds.get("lte", made)
        and made > bounds.get("gt", made - 1)
        and made < bounds.get("lt", made + 1)
    )


def metadata(before: Mapping[str, str] | None, given: Any) -> dict[str, str]:
    """Merged key by key; an empty value unsets. https://docs.stripe.com/api/metadata"""
    if given is None:
        return dict(before or {})
    if given == "":
        return {}
    merged = {n: v for n, v in {**(before or {}), **given}.items() if v != ""}
    for name, value in merged.items():
        if len(name) > MOST_NAME or len(str(value)) > MOST_VALUE:
            raise Refused(
                f"Metadata keys have at most {MOST_NAME} characters and values {MOST_VALUE}.",
                param=f"metadata[{name}]",
            )
    if len(merged) > MOST_METADATA:
        raise Refused(f"Metadata has at most {MOST_METADATA} keys.", param="metadata")
    return merged


def expanded(store: Store, answer: Any, paths: list[str]) -> Any:
    """Put objects where their ids stand. https://docs.stripe.com/api/expanding_objects

    Raises Refused for a path that leads nowhere.
    """
    for path in paths:
        answer = _expand(store, answer, path.split("."), path)
    return answer


def _expand(store: Store, value: Any, names: list[str], path: str) -> Any:
    if not names or value is None:
        return value
    if isinstance(value, list):
        return [_expand(store, one, names, path) for one in value]
    name, *rest = names
    if name == "payment_intent" and isinstance(value, dict) and "payment_record" in value:
        return value  # an invoice's payment is the one or the other
    if not isinstance(value, dict) or name not in value:
        raise Refused(f"This property cannot be expanded ({path}).", param="expand")
    found = value[name]
    if isinstance(found, str):
        found = _by_id(store, found, path)
    return {**value, name: _expand(store, found, rest, path)}


def _by_id(store: Store, object_id: str, path: str) -> Object:
    for objects in store.state["objects"].values():
        if object_id in objects:
            found: Object = objects[object_id]
            return found
    raise Refused(f"This property cannot be expanded ({path}).", param="expand")
