"""Libraries that may be missing, or broken."""

from importlib import import_module


def trouble(module: str) -> str:
    """Why a module cannot be imported; "" if it can. A broken one may raise anything."""
    try:
        import_module(module)
    except ModuleNotFoundError as error:
        return "is not installed" if error.name == module else f"is broken: {error}"
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a panic in Rust code is not an Exception
        return f"is broken: {error!r}"
    return ""
