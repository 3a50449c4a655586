"""Download one file, over TLS only, with known size and SHA-256, completely or not at all."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from scratchnet.files import write_whole

if TYPE_CHECKING:
    from pathlib import Path

    import requests

_SECONDS_OF_SILENCE = 10
_SLOWEST = 20_000  # bytes per second; slower counts as no answer
_PART = 1 << 16
_MOST_REDIRECTS = 5


class Official(NamedTuple):
    """What a file must be."""

    size: int
    """In bytes."""
    sha256: str


class MirrorError(Exception):
    """The reason why a server's answer was refused."""


def download(url: str, path: Path, official: Official, tell: Callable[[int], object]) -> None:
    """Download a URL to a path, after checking that the content is the official file.

    Args:
        url: https, and so must be every redirect.
        path: the file, in an existing folder. A link is replaced, not followed.
        official: the size and SHA-256. Not one byte more is read.
        tell: called with the number of bytes of each part that arrives.

    Raises:
        MirrorError: no answer, no TLS, silence, another size or another SHA-256. Nothing was written.
        OSError: the file cannot be written.
    """
    import requests
    from urllib3.exceptions import HTTPError

    try:
        with session() as connection, _answer(connection, url) as response:
            write_whole(path, lambda file: _take(response.raw, file, official, tell))
    except requests.exceptions.InvalidSchema as error:
        raise MirrorError("leads away from TLS") from error
    except (requests.RequestException, HTTPError, ValueError) as error:  # ValueError: not a URL
        raise MirrorError(type(error).__name__) from error


def session() -> requests.Session:
    """A session that uses only TLS, and does not follow redirects itself."""
    import requests

    class Session(requests.Session):
        def get_redirect_target(self, resp: requests.Response) -> None:
            """Return None. Otherwise requests would read the body to its end even without following."""

    made = Session()
    del made.adapters["http://"]
    made.headers["Accept-Encoding"] = "identity"  # hash the file itself, not a compressed form
    return made


def _answer(connection: requests.Session, url: str) -> requests.Response:
    """Follow redirects, without reading their bodies, which may not end; return the last answer."""
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
    """Copy the answer into the file as it arrives, and check it."""
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
