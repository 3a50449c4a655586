"""One file from the network: over TLS alone, of a size and SHA-256 known before, whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from scratchnet.files import write_whole

if TYPE_CHECKING:
    from pathlib import Path

    import requests

_SECONDS_OF_SILENCE = 10
_SLOWEST = 20_000  # bytes a second; slower than this is as good as nothing
_PART = 1 << 16
_MOST_REDIRECTS = 5


class Official(NamedTuple):
    """What a file must be."""

    size: int
    """In bytes."""
    sha256: str


class MirrorError(Exception):
    """Why what a server gave was not taken."""


def download(url: str, path: Path, official: Official, tell: Callable[[int], object]) -> None:
    """Fill the path with what the URL gives, once all of it has been seen to be the official file.

    Args:
        url: it, and all that it redirects to, must be https.
        path: the file, in a folder that is there; a link is replaced, not followed.
        official: no byte more than its size is taken.
        tell: called with the number of bytes of each part that has come.

    Raises:
        MirrorError: no answer, no TLS, silence, another size or another SHA-256; nothing was written.
        OSError: the file cannot be written.
    """
    import requests
    from urllib3.exceptions import HTTPError

    try:
        with session() as connection, _answer(connection, url) as response:
            write_whole(path, lambda file: _take(response.raw, file, official, tell))
    except requests.exceptions.InvalidSchema as error:
        raise MirrorError("leads away from TLS") from error
    except (requests.RequestException, HTTPError, ValueError) as error:  # ValueError: no URL at all
        raise MirrorError(type(error).__name__) from error


def session() -> requests.Session:
    """A session that knows no transport but TLS, and to which a redirect is an answer like another."""
    import requests

    class Session(requests.Session):
        def get_redirect_target(self, resp: requests.Response) -> None:
            """None; else requests reads its body to the end, even where it is not to follow it."""

    made = Session()
    del made.adapters["http://"]
    made.headers["Accept-Encoding"] = "identity"  # the file itself is hashed, not a packing of it
    return made


def _answer(connection: requests.Session, url: str) -> requests.Response:
    """The answer at the end of the redirects; their own bodies are left unread, they may have no end."""
    from urllib.parse import urljoin

    for _ in range(_MOST_REDIRECTS):
        response = connection.get(url, stream=True, timeout=_SECONDS_OF_SILENCE, allow_redirects=False)
        if response.status_code == 200:
            return response
        response.close()
        if not response.is_redirect:
            raise MirrorError(f"answers {response.status_code}")
        url = urljoin(url, response.headers["location"])
    raise MirrorError("redirects without end")


def _take(raw: Any, file: BinaryIO, official: Official, tell: Callable[[int], object]) -> None:
    """Copy the answer into the file as it comes, and hold it against what it must be."""
    import hashlib

    digest, left = hashlib.sha256(), official.size
    end = monotonic() + _SECONDS_OF_SILENCE + official.size / _SLOWEST
    while part := raw.read1(min(_PART, left + 1)):
        left -= len(part)
        if left < 0:
            raise MirrorError("sends more than the official file")
        if monotonic() > end:
            raise MirrorError("sends too slowly")
        digest.update(part)
        file.write(part)
        tell(len(part))
    if left:
        raise MirrorError(f"ends {left} bytes too early")
    if digest.hexdigest() != official.sha256:
        raise MirrorError("not the official file")
