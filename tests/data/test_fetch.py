"""Where the files are searched, and how they are downloaded from good and bad servers."""

import hashlib
import os
import shutil
import socket
import sys
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from socketserver import StreamRequestHandler, ThreadingTCPServer

import pytest
import requests
from data_files import FORMS, loader
from processes import LIMIT, python, run, started

import scratchnet as sn
from scratchnet.data import download, sources
from scratchnet.errors import DownloadError

CONTENT = {
    name: (name.encode() * 20_000)[: 300_000 if "images" in name else 500] for name in sources.OFFICIAL
}
FIRST = next(iter(CONTENT))


class Server(ThreadingHTTPServer):
    """A mirror on this machine. It sends the content, unless `answers` has the name."""

    daemon_threads = True

    def __init__(self, tls=None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers, self.asked = {"elsewhere": missing}, []
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_side=True)
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.server_port}/"
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def handle_error(self, *_):
        """Ignore the error: a client that hangs up is what the test wants."""


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        name = self.path[1:]
        self.server.asked.append(name)
        self.server.answers.get(name, whole)(self, CONTENT.get(name, b""))

    def begin(self, length=None, status=200, **headers):
        self.send_response(status)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()

    def log_message(self, *_):
        pass


def whole(handler, content):
    handler.begin(len(content))
    handler.wfile.write(content)


def too_much(handler, content):
    handler.begin(len(content) + 1)
    handler.wfile.write(content + b"x")


def until_the_client_hangs_up(handler):
    handler.connection.settimeout(60)
    handler.connection.recv(1)


def without_end(handler, content):
    handler.begin()
    handler.wfile.write(content * 100)
    until_the_client_hangs_up(handler)


def too_little(handler, content):
    handler.begin(len(content) - 1)
    handler.wfile.write(content[:-1])


def hung_up(handler, content):
    handler.begin(len(content))
    handler.wfile.write(content[:1000])


def another(handler, content):
    whole(handler, content[::-1])


def missing(handler, content):
    handler.begin(0, 404)


def circle(handler, content):
    handler.begin(0, 302, Location=handler.path)


def nowhere(handler, content):
    handler.begin(0, 302, Location="http://[")


def endless_redirect(handler, content):
    handler.begin(None, 302, Location="/elsewhere")
    handler.wfile.write(bytes(1 << 20))
    until_the_client_hangs_up(handler)


def silence(handler, content):
    handler.begin(len(content))
    handler.wfile.write(content[:1000])
    until_the_client_hangs_up(handler)


def no_answer(handler, content):
    until_the_client_hangs_up(handler)


def garbage(handler, content):
    handler.wfile.write(b"\xff\0 no http\r\n\r\n")


def with_http(session):
    """The session, and the transport that it does not have on purpose."""
    made = session()
    made.mount("http://", requests.adapters.HTTPAdapter())
    return made


@pytest.fixture
def mirror(monkeypatch):
    """A mirror of CONTENT after one that is unreachable. For it the transport need not be TLS."""
    official = {
        name: download.Official(len(content), hashlib.sha256(content).hexdigest())
        for name, content in CONTENT.items()
    }
    monkeypatch.setattr(sources, "OFFICIAL", official)
    monkeypatch.setattr(download, "session", partial(with_http, download.session))
    server = Server()
    monkeypatch.setattr(sources, "MIRRORS", ("http://127.0.0.1:9/", server.url))
    yield server
    server.shutdown()
    server.server_close()


def content_of(place):
    return {path.name: path.read_bytes() for path in place.iterdir()}


def test_fetching_takes_what_is_missing_and_replaces_another_file_only_if_asked(mirror, tmp_path):
    place = sources.fetch(tmp_path / "new" / "place")
    assert content_of(place) == CONTENT
    assert mirror.asked == list(CONTENT)
    (place / FIRST).write_bytes(theirs := CONTENT[FIRST][:-1] + b"x")  # as long
    with pytest.raises(sn.DataError, match=f"{FIRST}: is there already, .* replace it with overwrite"):
        sources.fetch(place)
    assert (place / FIRST).read_bytes() == theirs
    assert content_of(sources.fetch(place, overwrite=True)) == CONTENT
    assert mirror.asked == [*CONTENT, FIRST]


BAD = {
    too_much: "sends more", without_end: "sends more", too_little: "ends 1 bytes too early",
    hung_up: "ProtocolError|IncompleteRead|too early", another: "not the official file",
    missing: "answers 404", circle: "redirects without end", endless_redirect: "answers 404",
    nowhere: "ValueError|InvalidURL",
    silence: "ReadTimeout", no_answer: "ReadTimeout", garbage: "ConnectionError",
}  # fmt: skip


@pytest.mark.guarantee("A download uses TLS, and gets its name only after its SHA-256 was checked.")
@pytest.mark.parametrize("answer", BAD, ids=lambda answer: answer.__name__)
def test_what_a_bad_mirror_sends_is_refused_in_one_line_and_not_kept(
    mirror, tmp_path, answer, monkeypatch
):
    if answer in (silence, no_answer):
        monkeypatch.setattr(download, "_SECONDS_OF_SILENCE", 0.5)
    mirror.answers[FIRST] = answer
    with pytest.raises(
        DownloadError, match=f"127.0.0.1:9: ConnectionError; .*({BAD[answer]})"
    ) as caught:
        sources.fetch(tmp_path)
    assert "\n" not in str(caught.value)
    assert "--data synthetic" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_what_comes_too_slowly_is_refused(mirror, tmp_path, monkeypatch):
    """Let each part that arrives take five seconds of this clock."""
    monkeypatch.setattr(download, "monotonic", count(0, 5).__next__)
    monkeypatch.setattr(download, "_SLOWEST", len(CONTENT[FIRST]))
    monkeypatch.setattr(download, "_PART", 20_000)
    with pytest.raises(DownloadError, match="sends too slowly"):
        sources.fetch(tmp_path)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(download, "monotonic", lambda: 0)
    assert content_of(sources.fetch(tmp_path)) == CONTENT


def test_the_next_mirror_is_asked_where_one_is_bad(mirror, tmp_path, monkeypatch):
    second = Server()
    monkeypatch.setattr(sources, "MIRRORS", (mirror.url, second.url))
    mirror.answers[FIRST] = another
    assert content_of(sources.fetch(tmp_path)) == CONTENT
    assert second.asked == [FIRST]
    second.shutdown()
    second.server_close()


@pytest.mark.guarantee("A download uses TLS, and gets its name only after its SHA-256 was checked.")
def test_nothing_is_asked_without_tls(mirror, tmp_path, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(sources, "MIRRORS", (mirror.url,))
    with pytest.raises(DownloadError, match="leads away from TLS"):
        sources.fetch(tmp_path)
    assert mirror.asked == []
    monkeypatch.undo()
    assert len(sources.MIRRORS) > 1
    assert all(url.startswith("https://") for url in sources.MIRRORS)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """A key and a certificate for 127.0.0.1, made by openssl."""
    if not shutil.which("openssl"):
        pytest.skip("openssl, which makes a certificate for the test, is not installed")
    place = tmp_path_factory.mktemp("tls") / "both.pem"
    done = run(
        "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", place,
        "-out", f"{place}.crt", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with place.open("ab") as file:
        file.write(place.with_name("both.pem.crt").read_bytes())
    return place


@pytest.fixture
def secure(mirror, certificate, monkeypatch):
    """A mirror of CONTENT that has TLS. It is the only one, and its certificate is known."""
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server, official = Server(context), sources.OFFICIAL
    monkeypatch.undo()
    monkeypatch.setattr(sources, "OFFICIAL", official)
    monkeypatch.setattr(sources, "MIRRORS", (server.url,))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.guarantee("A download uses TLS, and gets its name only after its SHA-256 was checked.")
def test_over_tls_a_redirect_to_http_and_an_unknown_certificate_are_refused(
    mirror, secure, certificate, tmp_path, monkeypatch
):
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    with pytest.raises(DownloadError, match="SSLError"):
        sources.fetch(tmp_path / "unknown")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    assert content_of(sources.fetch(tmp_path / "known")) == CONTENT
    secure.answers[FIRST] = lambda handler, _: handler.begin(0, 302, Location=mirror.url + FIRST)
    with pytest.raises(DownloadError, match="leads away from TLS"):
        sources.fetch(tmp_path / "redirected")
    assert mirror.asked == []
    secure.answers[FIRST] = lambda handler, _: handler.begin(0, 302, Location="/elsewhere/" + FIRST)
    secure.answers["elsewhere/" + FIRST] = lambda handler, _: whole(handler, CONTENT[FIRST])
    assert content_of(sources.fetch(tmp_path / "again")) == CONTENT


class Proxy(ThreadingTCPServer):
    """A proxy for TLS on this machine. It notes what it is asked, and all that the client then sends."""

    daemon_threads = True

    def __init__(self, answer=None):
        super().__init__(("127.0.0.1", 0), Tunnel)
        self.answer, self.asked, self.seen = answer, [], b""
        self.url = f"http://127.0.0.1:{self.server_address[1]}/"
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def handle_error(self, *_):
        """Ignore the error: a client may hang up."""


class Tunnel(StreamRequestHandler):
    def handle(self):
        asked = self.rfile.readline().decode()
        while self.rfile.readline().strip():
            pass
        self.server.asked.append(asked)
        method, goal, _ = asked.split()
        if method != "CONNECT":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            return
        self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        if self.server.answer:
            self.connection.recv(1)
            self.wfile.write(self.server.answer)
            return
        host, _, port = goal.rpartition(":")
        with socket.create_connection((host, int(port))) as server:
            threading.Thread(target=self.copy, args=(server, self.connection), daemon=True).start()
            self.copy(self.connection, server, note=True)

    def copy(self, source, goal, note=False):
        while part := source.recv(1 << 16):
            if note:
                self.server.seen += part
            goal.sendall(part)


def test_a_proxy_passes_tls_on_and_cannot_answer_itself(secure, tmp_path, monkeypatch):
    for name in ("no_proxy", "NO_PROXY", "http_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    content = CONTENT[FIRST]
    liar = Proxy(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(content), content))
    with Proxy() as proxy, liar:
        monkeypatch.setenv("http_proxy", proxy.url)  # for other addresses than https
        assert content_of(sources.fetch(tmp_path / "direct")) == CONTENT
        assert proxy.asked == []
        monkeypatch.setenv("https_proxy", proxy.url)
        assert content_of(sources.fetch(tmp_path / "passed on")) == CONTENT
        goal = secure.url.removeprefix("https://").rstrip("/")
        assert {asked.split()[1] for asked in proxy.asked} == {goal}
        assert proxy.seen
        assert not any(name.encode() in proxy.seen for name in CONTENT)
        asked = list(secure.asked)
        monkeypatch.setenv("https_proxy", liar.url)
        with pytest.raises(DownloadError, match="SSLError"):
            sources.fetch(tmp_path / "answered by the proxy")
        assert secure.asked == asked
        assert not any((tmp_path / "answered by the proxy").iterdir())
        proxy.shutdown()
        liar.shutdown()


@pytest.fixture
def program(mirror):
    """Return code that lets a process download from the mirror. The folder is its argument."""
    official = {name: tuple(each) for name, each in sources.OFFICIAL.items()}
    return f"""
import sys, requests
from pathlib import Path
from scratchnet.data import download, sources

def session(tls_alone=download.session):
    made = tls_alone()
    made.mount("http://", requests.adapters.HTTPAdapter())
    return made

download.session = session
sources.OFFICIAL = {{name: download.Official(*each) for name, each in {official}.items()}}
sources.MIRRORS = ({mirror.url!r},)
folder = Path(sys.argv[1])
"""


KILLED = """
from itertools import count
from socketserver import StreamRequestHandler, ThreadingTCPServer
from killed import is_killed

for name in [*sources.OFFICIAL][2:]:
    del sources.OFFICIAL[name]
for number in count(1):
    place = folder / str(number)
    killed = is_killed(number, folder, sources.fetch, place)
    assert all(sources.is_official(place / name) for name in sources.OFFICIAL if (place / name).exists())
    assert not is_killed(0, folder, sources.fetch, place)
    assert {each.name for each in place.iterdir()} == sources.OFFICIAL.keys()  # no part of a file
    assert all(sources.is_official(each) for each in place.iterdir())
    if not killed:
        break
"""


@pytest.mark.guarantee("A download uses TLS, and gets its name only after its SHA-256 was checked.")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_fetch_killed_at_any_moment_leaves_nothing_that_is_taken_for_the_file(program, tmp_path):
    done = python("-c", program + KILLED, tmp_path)
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.splitlines()) == {
        "before mkdir", "before open", "before write", "before the rest of a write", "before flush",
        "before fsync", "before close", "before replace",
    }  # fmt: skip


@pytest.mark.guarantee("A download uses TLS, and gets its name only after its SHA-256 was checked.")
def test_two_processes_that_fetch_at_once_both_end_right(mirror, program, tmp_path):
    both = threading.Barrier(2, timeout=LIMIT)

    def together(handler, content):
        handler.begin(len(content))
        handler.wfile.write(content[: len(content) // 2])
        both.wait()
        handler.wfile.write(content[len(content) // 2 :])

    mirror.answers[FIRST] = together
    command = sys.executable, "-c", f"{program}\nsources.fetch(folder)", tmp_path
    with started(*command) as first, started(*command) as second:
        assert [first.wait(), second.wait()] == [0, 0]
    assert content_of(tmp_path) == CONTENT


@pytest.mark.guarantee("A cache entry is used only if it fits its source file.")
def test_a_link_in_the_folder_is_replaced_and_never_written_through(mirror, tmp_path):
    outside, place = tmp_path / "outside", tmp_path / "place"
    outside.mkdir()
    place.mkdir()
    mine = outside / "mine"
    mine.write_bytes(b"mine")
    goals = [mine, outside, outside / "nothing", "/dev/null"]
    for name, goal in zip(CONTENT, goals, strict=True):
        (place / name).symlink_to(goal)
    assert content_of(sources.fetch(place)) == CONTENT
    assert not any(path.is_symlink() for path in place.iterdir())
    assert list(outside.iterdir()) == [mine]
    assert mine.read_bytes() == b"mine"


def test_a_place_that_cannot_be_written_is_said(mirror, tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "folder" / FIRST).mkdir(parents=True)
    for place, cause in {"file": "file: cannot be written", "folder": f"{FIRST}: is a folder"}.items():
        with pytest.raises(sn.DataError, match=cause):
            sources.fetch(tmp_path / place)
    assert [path.name for path in (tmp_path / "folder").iterdir()] == [FIRST]


def test_what_an_interrupted_fetch_left_in_the_cache_is_completed(mirror, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, place = sources.places()
    place.mkdir(parents=True)
    (place / FIRST).write_bytes(CONTENT[FIRST])
    images, labels = sources.locate(None, "train")
    assert (images.parent, labels.read_bytes()) == (place, CONTENT[labels.name])
    shutil.rmtree(place)


def test_a_folder_asked_for_is_the_only_one_looked_at(tmp_path, monkeypatch):
    monkeypatch.setenv("SCRATCHNET_DATA", str(tmp_path))
    with pytest.raises(sn.DataNotFoundError, match="no train files"):
        sn.FashionMnistDataLoader("train", 8)
    with pytest.raises(sn.DataNotFoundError, match="no such folder"):
        loader(tmp_path / "none")
    (tmp_path / "file").touch()
    with pytest.raises(sn.DataError, match="is not a folder; give the folder"):
        loader(tmp_path / "file")
    with pytest.raises(sn.DataError, match="cannot be looked into"):
        loader(tmp_path / ("x" * 5000))
    with pytest.raises(sn.DataNotFoundError, match="no such user"):
        loader("~nobody of that name/data")


@pytest.mark.parametrize("folder", FORMS, indirect=True)
def test_where_no_folder_is_asked_for(folder, tmp_path_factory, monkeypatch):
    fetched = []
    monkeypatch.setattr(sources, "_fetch_one", lambda name, _: fetched.append(name))
    empty = tmp_path_factory.mktemp("empty")
    monkeypatch.chdir(empty)
    monkeypatch.setenv("SCRATCHNET_CACHE", str(empty / "cache"))
    sources.locate(None, "train")
    assert fetched == list(sources.OFFICIAL)  # nothing here: the download fills the cache
    (empty / "data").mkdir()
    (empty / "data" / "fashion-mnist").symlink_to(folder)
    assert sources.locate(None, "train")[0].parent.name == "fashion-mnist"
    assert len(fetched) == 4
