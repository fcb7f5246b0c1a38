"""An event is worked on once, however often it comes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from pydantic import BaseModel

from services.fixai.bus import Away, Poison
from services.fixai.events import Event
from services.fixai.llm import Busy, Unanswerable
from services.fixai.store import Store

Made = TypeVar("Made", bound=BaseModel)


class Waiting(Exception):  # noqa: N818 - a state of the world, not a mistake
    """The event can be handled later; it goes to the retry topic."""


async def once(
    store: Store,
    consumer: str,
    event: Event,
    form: type[Made],
    work: Callable[[], Awaitable[Made]],
) -> Made:
    """What a consumer made of an event: worked out now, or what was kept of the first time.

    Raises:
        Away: the model answers nobody now: the event waits where it is.
        Waiting: the model answers others, but not this.
        Poison: the model will not answer this.
    """
    kept = await store.effect(consumer, event.id)
    if kept is not None:
        return form.model_validate_json(kept)
    try:
        made = await work()
    except Busy as error:
        if error.others:
            raise Waiting(str(error)) from None
        raise Away(str(error)) from None
    except Unanswerable as error:
        raise Poison(str(error)) from None
    return await keep(store, consumer, event, made)


async def keep(store: Store, consumer: str, event: Event, made: Made) -> Made:
    """What a consumer made of an event: this, unless something is kept of an earlier time."""
    kept = await store.keep_effect(consumer, event.id, made.model_dump_json().encode())
    return type(made).model_validate_json(kept)
