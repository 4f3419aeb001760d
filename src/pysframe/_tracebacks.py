"""Errors without keys: error reporters such as Sentry send the local variables of every frame.

Rules of this file:
  1. What is handed a key, or makes one, is decorated with without_locals. Its errors keep their
     message and their lines, and the frames below it lose their local variables.
  2. The caller's frames are the caller's: neither they nor an exception that was being handled
     before the call are touched.
"""

import sys
from collections.abc import Callable, Iterator
from functools import wraps
from traceback import clear_frames
from typing import ParamSpec, TypeVar

_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")


def without_locals(function: Callable[_Given, _Result]) -> Callable[_Given, _Result]:
    """Decorator: whatever the function raises holds no local variable of it, nor of what it calls.

    That includes the causes and contexts of the exception, KeyboardInterrupt, and arguments that
    were given in the wrong order.

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
            del args, kwargs, handled  # the locals of this frame are sent, too

    return guarded


def _chain(error: BaseException, handled: BaseException | None) -> Iterator[BaseException]:
    """The error, its causes and contexts, but for what the caller was handling already."""
    yield error
    seen, waiting = {id(error), id(handled)}, [error.__cause__, error.__context__]
    while waiting:
        one = waiting.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            waiting += [one.__cause__, one.__context__]
            yield one
