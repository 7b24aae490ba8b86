"""Where an agent or a coordinator listens, as text: ``http://HOST:PORT`` or ``unix:PATH``.

Only the form is checked here; whether anybody listens shows at the first call.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from .errors import BadAddress


def target(address: str) -> str:
    """The address as gRPC writes it."""

    def bad(why: str) -> BadAddress:
        return BadAddress(f"bad address {address!r}: {why}")

    if address.startswith("unix:"):
        path = address[len("unix:") :]
        path = path[2:] if path.startswith("//") else path
        if not path or "\0" in path:
            raise bad("the path of the socket is missing")
        return f"unix:{path}"
    if address.startswith("https:"):
        raise bad("this version speaks plain HTTP/2 only; use http:// or unix:")
    if not address.startswith("http://"):
        raise bad("it must begin with http:// or unix:")
    if any(character.isspace() for character in address):
        raise bad("it must not have spaces")
    try:
        parts = urlsplit(address)
        port = 80 if parts.port is None else parts.port
    except ValueError as error:
        raise bad(str(error)) from None
    if not parts.hostname or "@" in parts.netloc:
        raise bad("it must name a host, and no user")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise bad("it must end after the port")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"dns:{host}:{port}"
