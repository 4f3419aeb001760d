"""Keeps keys out of errors: reporters such as Sentry send the local variables of every frame.

Rules of this file:
  1. Whatever receives or makes a key is decorated with without_locals. Its errors keep their
     messages and lines, while the frames below it lose their local variables.
  2. The caller's frames, and an exception that was being handled before the call, are left
     untouched.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import wraps
from types import TracebackType
from typing import ParamSpec, TypeVar

_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")


def without_locals(function: Callable[_Given, _Result]) -> Callable[_Given, _Result]:
    """Decorator: exceptions of the function hold no local variables of it or of what it calls.

    This covers causes and contexts, KeyboardInterrupt, and arguments passed in the wrong order.

    >>> @without_locals
    ... def check(key):
    ...     raise ValueError("the key is short")
    >>> try:
    ...     check(b"secret")
    ... except ValueError as error:
    ...     trace = error.__traceback__.tb_next
    >>> trace.tb_frame.f_code.co_name, trace.tb_next.tb_frame.f_locals
    ('guarded', {})
    """

    @wraps(function)
    def guarded(*args: _Given.args, **kwargs: _Given.kwargs) -> _Result:
        handled = sys.exception()
        try:
            return function(*args, **kwargs)
        except BaseException as error:
            for one in _chain(error, handled):
                clear_frames(one.__traceback__)
            raise
        finally:
            del args, kwargs, handled  # the locals of this frame would be sent as well

    return guarded


def _chain(error: BaseException, handled: BaseException | None) -> Iterator[BaseException]:
    """The error, its causes and contexts, except what the caller was already handling."""
    yield error
    seen, waiting = {id(error), id(handled)}, [error.__cause__, error.__context__]
    while waiting:
        one = waiting.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            waiting += [one.__cause__, one.__context__]
            yield one


def clear_frames(trace: TracebackType | None) -> None:
    """As traceback.clear_frames, without the import of traceback and all that it needs."""
    while trace is not None:
        with suppress(RuntimeError):  # a frame that is still running keeps what it has
            trace.tb_frame.clear()
        trace = trace.tb_next
