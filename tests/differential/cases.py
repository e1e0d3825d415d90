"""The cases of the table, by kind."""

from __future__ import annotations

import gzip
import json
import lzma
from collections.abc import Callable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler
from typing import Any

from cdk_ecrpublic.sandbox.images import Image, build_image
from lambda_handler.oci import Digest
from tests.copies.test_referrers import artifact, tag_of
from tests.copies.test_sparse import as_docker_saves, entry, index_of, out_of_order
from tests.differential.stage import IMAGE, INDEX, Case, Guard, Stage
from tests.support.archives import CONTAINERD_NAME, NAME, layout_of, saved, tar_of
from tests.support.upstream import UpstreamRegistry
from tests.support.web_server import send

Arrange = Callable[[Stage], None]
_REALM = 'Bearer realm="{url}/token"'
BEARER = 'Bearer realm="{url}/token",service="s",scope="repository:team/app:pull"'


def guarded(challenge: str, **more: Any) -> Arrange:
    def arrange(stage: Stage) -> None:
        stage.registry.push(IMAGE, "1")
        stage.registry.behaviour = stage.other.behaviour = Guard(stage, challenge, **more)

    return arrange


def redirected(status: int, *, path: str = "/manifests/", guest: bool = False) -> Arrange:
    """Redirect requests for a path of the first registry to the second."""

    def arrange(stage: Stage) -> None:
        stage.registry.push(IMAGE, "1")
        stage.other.push(IMAGE, "1")
        guard = Guard(stage, 'Bearer realm="{url}/token",service="s",scope="repository:team/app:pull"')

        def behaviour(request: BaseHTTPRequestHandler) -> bool:
            if guard(request):
                return True
            if path in request.path:
                send(request, status, Location=stage.other.url + request.path)
                return True
            return False

        stage.registry.behaviour = behaviour
        if guest:
            challenge = 'Bearer realm="{other}/token",service="s",scope="repository:team/app:pull"'
            stage.other.behaviour = Guard(stage, challenge, open_to_all=True, token="visitor")

    return arrange


def after(interim: bytes) -> Arrange:
    """Send something before each response."""

    def arrange(stage: Stage) -> None:
        stage.registry.push(IMAGE, "1")

        def behaviour(request: BaseHTTPRequestHandler) -> bool:
            request.wfile.write(interim)
            return False

        stage.registry.behaviour = behaviour

    return arrange


def typed(kind: str, *, strip: bool = False) -> Arrange:
    """Serve manifests with another content type, and optionally without a mediaType."""

    def arrange(stage: Stage) -> None:
        stage.registry.push(IMAGE, "1")
        for reference, (content, own) in list(stage.registry.manifests.items()):
            stage.registry.manifests[reference] = (content, kind.format(own=own))
        if strip:
            (child,) = _single().children or (_single(),)
            data = {key: value for key, value in json.loads(child.manifest).items() if key != "mediaType"}
            content = json.dumps(data).encode()
            stage.registry.push(Image(manifest=content, media_type=kind, blobs=child.blobs), "1")

    return arrange


def compressed(stage: Stage) -> None:
    """Serve manifests like a static file server that stores them compressed."""
    stage.registry.push(IMAGE, "1")

    def behaviour(request: BaseHTTPRequestHandler) -> bool:
        reference = request.path.rpartition("/")[2]
        if "/manifests/" not in request.path or reference not in stage.registry.manifests:
            return False
        content, kind = stage.registry.manifests[reference]
        digest = str(Digest.of(content))
        send(request, 200, gzip.compress(content), kind, Content_Encoding="gzip", Docker_Content_Digest=digest)
        return True

    stage.registry.behaviour = behaviour


def compressed_config(stage: Stage) -> None:
    stage.registry.push(_single(), "1")
    wanted = json.loads(_single().manifest)["config"]["digest"]

    def behaviour(request: BaseHTTPRequestHandler) -> bool:
        if not request.path.endswith(f"/blobs/{wanted}"):
            return False
        content = gzip.compress(stage.registry.blobs[wanted])
        send(request, 200, content, "application/octet-stream", Content_Encoding="gzip")
        return True

    stage.registry.behaviour = behaviour


def with_xz() -> bytes:
    files = saved(tar_of({"a": b"1"}))
    path = next(name for name in files if name.endswith("layer.tar"))
    return tar_of({**files, path: lzma.compress(files[path])})


def _single() -> Image:
    return build_image({"etc/text": b"one"})


LARGE = build_image({"etc/noise": bytes((7 * n * n + n // 251) % 256 for n in range(300_000))})


def breaking(answer_range: Callable[[BaseHTTPRequestHandler, bytes], None]) -> Arrange:
    """Break the first download of each blob in the middle, and respond to ranges with a function."""

    def arrange(stage: Stage) -> None:
        stage.registry.push(LARGE, "1")
        broken: set[str] = set()

        def behaviour(request: BaseHTTPRequestHandler) -> bool:
            content = stage.registry.blobs.get(request.path.rpartition("/")[2], b"")
            if "/blobs/" not in request.path or len(content) < 10_000 or request.command == "HEAD":
                return False
            if request.path not in broken:
                broken.add(request.path)
                send(
                    request, 200, content[: len(content) // 2], Content_Length=str(len(content)), Accept_Ranges="bytes"
                )
                request.close_connection = True
                return True
            if "Range" in request.headers:
                answer_range(request, content)
                return True
            return False

        stage.registry.behaviour = behaviour

    return arrange


def only_closed(request: BaseHTTPRequestHandler, content: bytes) -> None:
    first, _, last = request.headers["Range"].removeprefix("bytes=").partition("-")
    if not last:
        send(request, 416)
        return
    part = content[int(first) : int(last) + 1]
    send(request, 206, part, Content_Range=f"bytes {first}-{int(first) + len(part) - 1}/{len(content)}")


def any_range(request: BaseHTTPRequestHandler, content: bytes) -> None:
    first = request.headers["Range"].removeprefix("bytes=").partition("-")[0]
    part = content[int(first) :]
    send(request, 206, part, Content_Range=f"bytes {first}-{len(content) - 1}/{len(content)}")


def referring(respond: Callable[[Stage, BaseHTTPRequestHandler, Sequence[Mapping[str, Any]]], None]) -> Arrange:
    """List two signatures with a function."""

    def arrange(stage: Stage) -> None:
        image = stage.registry.push(_single(), "1")
        signatures = [stage.registry.push(artifact("signature", text, subject=image)) for text in (b"1", b"2")]
        stage.signatures = [each.digest for each in signatures]
        kind = "application/vnd.example.signature"
        entries = [
            {"mediaType": each.media_type, "digest": each.digest, "size": len(each.manifest), "artifactType": kind}
            for each in signatures
        ]

        def behaviour(request: BaseHTTPRequestHandler) -> bool:
            if "/referrers/" in request.path:
                respond(stage, request, entries)
                return True
            return False

        stage.registry.behaviour = behaviour

    return arrange


def listed(entries: Sequence[Mapping[str, Any]]) -> bytes:
    return json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()


def of_type(kind: str, status: int = 200) -> Arrange:
    return referring(lambda _, request, entries: send(request, status, listed(entries), kind))


def paged(link: str) -> Arrange:
    def respond(stage: Stage, request: BaseHTTPRequestHandler, entries: Sequence[Mapping[str, Any]]) -> None:
        if "page=2" in request.path:
            send(request, 200, listed(entries[1:]), INDEX)
            return
        path = request.path.partition("?")[0]
        text = link.format(url=stage.registry.url, path=path)
        send(request, 200, listed(entries[:1]), INDEX, Link=text)

    return referring(respond)


def pushed(make: Callable[[], Image]) -> Arrange:
    def arrange(stage: Stage) -> None:
        stage.registry.push(make(), "1")

    return arrange


def two_entries() -> Image:
    image = _single()
    return index_of([entry(image, "linux/arm/v6"), entry(image, "linux/arm/v7")], image)


def nameless() -> Image:
    image, beside = _single(), artifact("chart", b"chart")
    return index_of([entry(image, "linux/amd64"), entry(beside, "/")], image, beside)


def null_annotation() -> Image:
    image = _single()
    return index_of([entry(image, "linux/amd64", annotations={"a": None})], image)


def soci() -> Image:
    image, beside = _single(), artifact("soci", b"ztoc")
    kind = "application/vnd.amazon.soci.index.v2+json"
    return index_of([entry(image, "linux/amd64"), entry(beside, "linux/amd64", artifactType=kind)], image, beside)


def nested() -> Image:
    inner = {"mediaType": INDEX, "digest": IMAGE.digest, "size": len(IMAGE.manifest)}
    return index_of([inner], IMAGE)


def other_size() -> Image:
    image = _single()
    return index_of([entry(image, "linux/amd64") | {"size": len(image.manifest) + 1}], image)


def changed(old: bytes, new: bytes) -> Callable[[], Image]:
    def make() -> Image:
        content = IMAGE.manifest.replace(old, new, 1)
        return Image(manifest=content, media_type=IMAGE.media_type, children=IMAGE.children)

    return make


def filed(make: Callable[[], bytes]) -> Arrange:
    return lambda stage: stage.write(make())


NAMES = {CONTAINERD_NAME: "docker.io/library/agent:1.4", NAME: "1.4"}


def gitlab(stage: Stage) -> None:
    image = stage.registry.push(IMAGE, "1")
    stage.registry.manifests[tag_of(image)] = (image.manifest, image.media_type)
    _without_list(stage.registry)


def _without_list(registry: UpstreamRegistry) -> None:
    def behaviour(request: BaseHTTPRequestHandler) -> bool:
        if "/referrers/" in request.path:
            send(request, 404, b"{}", "application/json")
            return True
        return False

    registry.behaviour = behaviour


_SAFE = "Different clients would read different images from one digest."

_ANYWHERE = "A registry could otherwise have the password sent to any host; a key in the secret allows it."
_FORMS = "This is the only way that OAuth 2 defines, and containerd tries it first."
_GRAMMAR = "RFC 9110 allows this syntax."
_OWN_TYPE = "The manifest contains its media type; a file server or proxy does not know it."
_SIGNATURES = "Without its signatures, an image fails verification."
_PATIENT = "One interruption of a large download should not fail a deployment; the digest is checked at the end."

CASES: Mapping[str, Sequence[Case]] = {
    "Challenges": [
        Case(name="Bearer", arrange=guarded(BEARER), login=True),
        Case(name="Bearer, then Basic, in one header", arrange=guarded(f'{BEARER}, Basic realm="A"'), login=True),
        Case(name="Basic, then Bearer, in one header", arrange=guarded(f'Basic realm="A", {BEARER}'), login=True),
        Case(name="Negotiate, then Bearer", arrange=guarded(f"Negotiate, {BEARER}"), login=True),
        Case(name="Basic only", arrange=guarded('Basic realm="A"'), login=True),
        Case(name="no scope", arrange=guarded('Bearer realm="{url}/token",service="s"'), login=True),
        Case(name="an empty scope", arrange=guarded('Bearer realm="{url}/token",service="s",scope=""'), login=True),
        Case(
            name="unusual case and spaces",
            arrange=guarded('bearer Realm = "{url}/token" , Service="s"'),
            login=True,
            reason=_GRAMMAR,
        ),
        Case(name="an empty parameter without quotes", arrange=guarded(f'{_REALM},service="s",scope='), login=True),
        Case(
            name="404 to anonymous clients, a challenge at `/v2/` only",
            arrange=guarded(BEARER, hidden=404),
            login=True,
        ),
        Case(name="the same with 403", arrange=guarded(BEARER, hidden=403), login=True),
        Case(
            name="the same with 403, and a placeholder as its scope",
            arrange=guarded(f'{_REALM},service="s",scope="repository:user/image:pull"', hidden=403),
            login=True,
        ),
    ],
    "Token endpoints": [
        Case(name="a realm with a query", arrange=guarded('Bearer realm="{url}/token?a=b",service="s"'), login=True),
        Case(name="it accepts forms only", arrange=guarded(BEARER, takes_get=False), login=True, reason=_FORMS),
        Case(
            name="on another host",
            arrange=guarded('Bearer realm="{other}/token",service="s"'),
            login=True,
            reason=_ANYWHERE,
        ),
        Case(
            name="on another host that the secret allows",
            arrange=guarded('Bearer realm="{other}/token",service="s"'),
            login=True,
            secret='"tokenEndpoint": "{other}"',
        ),
    ],
    "Redirects": [
        *(
            Case(name=f"a manifest, {status}, to another host", arrange=redirected(status), login=True)
            for status in (301, 302, 303, 307, 308)
        ),
        Case(name="a blob, 307, to another host", arrange=redirected(307, path="/blobs/"), login=True),
        Case(
            name="a manifest, to a host that requires an anonymous token",
            arrange=redirected(307, guest=True),
            login=True,
        ),
    ],
    "Interim responses": [
        Case(
            name="`103 Early Hints` before each response",
            arrange=after(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
        ),
        Case(name="`100 Continue` before each response", arrange=after(b"HTTP/1.1 100 Continue\r\n\r\n")),
    ],
    "Content types of manifests": [
        Case(name="`application/json`", arrange=typed("application/json"), reason=_OWN_TYPE),
        Case(name="`application/octet-stream`", arrange=typed("application/octet-stream"), reason=_OWN_TYPE),
        Case(name="`text/html`", arrange=typed("text/html"), reason=_OWN_TYPE),
        Case(name="none", arrange=typed("")),
        Case(name="the correct type, with a parameter", arrange=typed("{own}; charset=utf-8")),
        Case(
            name="the type of an image, for an index",
            arrange=typed("application/vnd.oci.image.manifest.v1+json"),
            reason=_SAFE,
        ),
        Case(
            name="generic, and the manifest has no media type",
            arrange=typed("application/octet-stream", strip=True),
            reason="ECR Public stores a media type with each manifest, and here it is unknown.",
        ),
        Case(name="the correct type, compressed with gzip", arrange=compressed),
        Case(name="a config that is compressed with gzip", arrange=compressed_config),
    ],
    "Ranges, after an interrupted download": [
        Case(name="any range", arrange=breaking(any_range), reason=_PATIENT),
        Case(name="ranges with both ends, 416 to others", arrange=breaking(only_closed), reason=_PATIENT),
        Case(name="416 to every range", arrange=breaking(lambda request, _: send(request, 416)), reason=_PATIENT),
        Case(name="404 to every range", arrange=breaking(lambda request, _: send(request, 404)), reason=_PATIENT),
        Case(name="503 to every range", arrange=breaking(lambda request, _: send(request, 503)), reason=_PATIENT),
        Case(
            name="ranges are ignored",
            arrange=breaking(lambda request, content: send(request, 200, content)),
            reason=_PATIENT,
        ),
    ],
    "Lists of referrers": [
        Case(name="an index", arrange=of_type(INDEX), lists=True),
        Case(
            name="an index as `application/json`", arrange=of_type("application/json"), lists=True, reason=_SIGNATURES
        ),
        Case(
            name="an index as `application/octet-stream`",
            arrange=of_type("application/octet-stream"),
            lists=True,
            reason=_SIGNATURES,
        ),
        Case(name="424", arrange=of_type("application/json", 424), lists=True),
        Case(name='`<…>; rel="next"`', arrange=paged('<{path}?page=2>; rel="next"'), lists=True),
        Case(name="`rel=next` without quotes", arrange=paged("<{path}?page=2>; rel=next"), lists=True),
        Case(name="a parameter before `rel`", arrange=paged('<{path}?page=2>; title="a, b"; rel="next"'), lists=True),
        Case(
            name="two links in one header",
            arrange=paged('<{path}>; rel="first", <{path}?page=2>; rel="next"'),
            lists=True,
        ),
        Case(name="`Link` without brackets", arrange=paged("{path}?page=2; rel=next"), lists=True),
        Case(name="the image itself under `sha256-<hex>`", arrange=gitlab, lists=True),
    ],
    "Indexes": [
        Case(name="two platforms", arrange=pushed(lambda: IMAGE)),
        Case(name="one digest under two platforms", arrange=pushed(two_entries)),
        Case(name="a platform without `os` and `architecture`", arrange=pushed(nameless)),
        Case(name="an annotation that is null", arrange=pushed(null_annotation)),
        Case(name="a SOCI index beside its image", arrange=pushed(soci)),
        Case(name="an index in an index", arrange=pushed(nested)),
        Case(
            name="lists images that the registry does not have",
            arrange=pushed(lambda: as_docker_saves()[0]),
            reason="ECR Public stores no index without its images. By digest, set `platforms`.",
        ),
        Case(name="a size that differs from the manifest's", arrange=pushed(other_size)),
        Case(
            name="a duplicate key, with two values",
            arrange=pushed(changed(b'"mediaType"', b'"schemaVersion": 3, "mediaType"')),
            reason=_SAFE,
        ),
        Case(
            name="a key in a different case",
            arrange=pushed(changed(b'"manifests"', b'"Manifests": [], "manifests"')),
            reason=_SAFE,
        ),
    ],
    "Archives": [
        Case(name="an OCI layout", arrange=filed(lambda: tar_of(layout_of((IMAGE, NAMES))))),
        Case(name="an OCI layout, gzipped", arrange=filed(lambda: gzip.compress(tar_of(layout_of((IMAGE, NAMES)))))),
        Case(name="a classic `docker save`", arrange=filed(lambda: tar_of(saved(tar_of({"a": b"1"}))))),
        Case(name="a `docker save` with a layer in xz", arrange=filed(with_xz)),
        Case(
            name="a `docker save` that lists more images than it has",
            arrange=filed(lambda: tar_of(layout_of((as_docker_saves()[0], NAMES)))),
            reason="Docker writes such archives since version 29; the log lists the missing images.",
        ),
        Case(
            name="layers in a different order than in the config",
            arrange=filed(lambda: tar_of(layout_of((out_of_order(), NAMES)))),
            reason="The image would not run. Docker 25.0.0 wrote such archives.",
        ),
        Case(name="truncated", arrange=filed(lambda: tar_of(layout_of((IMAGE, NAMES)))[:4000])),
    ],
}
