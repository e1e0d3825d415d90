"""Any response of a registry, over a real socket, gives content or a typed error."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain, repeat

import pytest
import urllib3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lambda_handler.clock import Deadline
from lambda_handler.oci import Digest, Manifest, ManifestMediaType, RegistryHost, Repository
from lambda_handler.registry import RegistryClient, Transport
from lambda_handler.registry.auth import RegistryAuth
from tests.fuzz.hostile import JSON, TEXTS, changed, damaged, outcome, written
from tests.fuzz.server import Server, http, serve
from tests.fuzz.test_manifests import IMAGE, INDEX
from tests.support.clock import SteppingClock

# urllib3 leaves a response with contradictory headers, and its socket, to the garbage collector.
pytestmark = pytest.mark.filterwarnings(
    "ignore:unclosed:ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)

CONTENT = json.dumps(IMAGE).encode()
DIGEST = Digest.of(CONTENT)
OCI_MANIFEST, OCI_INDEX = ManifestMediaType.OCI_MANIFEST.value, ManifestMediaType.OCI_INDEX.value

Call = Callable[[RegistryClient, Repository], object]
CALLS: dict[str, Call] = {
    "read": lambda client, repository: client.read(repository, DIGEST),
    "read_tag": lambda client, repository: client.read_tag(repository, "1.4"),
    "resolve": lambda client, repository: client.resolve(repository, "1.4"),
    "has": lambda client, repository: client.has(repository, "1.4"),
    "referrers": lambda client, repository: client.referrers(repository, DIGEST),
    "blob": lambda client, repository: b"".join(client.open_blob(repository, DIGEST, 3)),
}
HERE = "<here>"
"""The placeholder for the server's own address in a response."""

STATUSES = st.sampled_from(
    [200, 200, 200, 206, 301, 302, 307, 400, 401, 403, 404, 405, 429, 500, 503, 100, 204, 304, 999]
)
LOCATIONS = st.sampled_from(
    [
        "",
        "/",
        "//",
        f"http://{HERE}/blob",
        "//127.0.0.1:1/",
        "http://[",
        "https://",
        "\x00",
        "?",
        "https://127.0.0.1:1/",
    ]
)
CHALLENGES = st.sampled_from(
    [f'Bearer realm="http://{HERE}/token",service="x"', 'Bearer realm="http://[/"', "Basic", "Negotiate", "Bearer", ""]
)
TYPES = st.sampled_from([OCI_MANIFEST, OCI_INDEX, f"{OCI_INDEX}; charset=utf-8", "text/html", ""])
LINKS = st.sampled_from(
    ["</v2/next>; rel=next", f'<http://{HERE}/v2/x>; rel="next"', "<http://[>; rel=next", "<>", "<\x00>"]
)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "Content-Type": TYPES,
        "Docker-Content-Digest": st.sampled_from([str(DIGEST), "sha256:0", "md5:0", ""]),
        "Location": LOCATIONS,
        "WWW-Authenticate": CHALLENGES,
        "Link": LINKS,
        "Content-Length": st.sampled_from(["0", "-1", "x", "9" * 30, "5, 6"]),
        "Content-Encoding": st.sampled_from(["gzip", "br", "gzip, gzip"]),
        "Content-Range": st.sampled_from(["bytes 3-4/5", "bytes 0-0/0", "x"]),
        "Transfer-Encoding": st.sampled_from(["chunked", "gzip, chunked", "x"]),
        "Set-Cookie": TEXTS.map(lambda text: text.replace("\r", "").replace("\n", "")),
    },
)
MANIFESTS = st.sampled_from([IMAGE, INDEX])
BODIES = st.one_of(
    st.just(CONTENT),
    written(MANIFESTS),
    written(changed(MANIFESTS)),
    st.just(b'{"token": "abc"}'),
    written(JSON),
    st.binary(max_size=40),
    st.just(b"5\r\nabcde\r\n0\r\n\r\n"),
    st.just(b"ffffffffff\r\n"),
)
ANSWERS = st.builds(lambda status, body, headers: http(status, body, *headers.items()), STATUSES, BODIES, HEADERS)
BYTES = st.one_of(
    ANSWERS,
    damaged(ANSWERS),
    st.binary(max_size=60),
    st.sampled_from(
        [b"", b"HTTP/1.1", b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 200, b"HTTP/1.1 200 OK\r\n" + b"a" * 70_000]
    ),
)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serve() as running:
        yield running


def answering(answers: list[bytes], server: Server) -> Callable[[str], bytes]:
    """Send these responses one after the other, and repeat the last one."""
    following = chain(answers, repeat(answers[-1]))
    return lambda _: next(following).replace(HERE.encode(), server.host.encode())


@pytest.mark.parametrize("name", CALLS)
@settings(max_examples=120, suppress_health_check=[HealthCheck.too_slow])
@given(answers=st.lists(BYTES, min_size=1, max_size=4), password=st.sampled_from([None, "user:pässword"]))
def test_any_responses_give_content_or_a_typed_error(
    server: Server, name: str, answers: list[bytes], password: str | None
) -> None:
    server.answer = answering(answers, server)
    host = RegistryHost.parse(server.host)
    with urllib3.PoolManager() as pool:
        transport = Transport(pool, Deadline.after(600, SteppingClock()))
        client = RegistryClient(transport, RegistryAuth(host, lambda: password))
        result = outcome(partial(CALLS[name], client, Repository(host, "acme/agent")))

    assert not isinstance(result, Manifest) or name != "read" or result.digest == DIGEST
