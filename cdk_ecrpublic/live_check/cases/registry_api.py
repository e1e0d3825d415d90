"""The registry API: logins, manifests, lists, and what it does not support."""

from __future__ import annotations

import base64

from cdk_ecrpublic.live_check.case import case
from cdk_ecrpublic.live_check.images import CONFIG, CONFIG_TYPE, LAYER, LAYER_TYPE, descriptor, image, index, referrer
from cdk_ecrpublic.live_check.target import Target

_AUTH = ("registry.auth.RegistryAuth", "registry.challenge", "registry.failures")
_READ = ("registry.client.RegistryClient.read", "registry.remote.RegistryRepository.resolve")

_OCI, _DOCKER = "application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"
_ABSENT = f"sha256:{3:064}"


@case(
    fidelity=("no token, anywhere below `/v2/`", "an invalid token", "basic authentication", "an unknown path"),
    settings=("basic_on_v2", "raw_bearer"),
    handler=_AUTH,
)
def log_in(target: Target) -> None:
    """Which logins does the registry accept, and how does it refuse the others?"""
    for path in ("/v2/", "manifests/a", "tags/list", "/v2/_catalog"):
        target.http("GET", path, login="none")
    target.http("HEAD", "manifests/a", login="none")
    target.http("POST", "blobs/uploads/", login="none")
    for login in ("token", "anonymous", "raw", "basic"):
        target.http("GET", "/v2/", login=login)
    wrong = base64.b64encode(b"AWS:wrong").decode()
    for note, value in (("wrong token", "Bearer wrong"), ("wrong password", f"Basic {wrong}"), ("scheme", "Digest x")):
        target.http("GET", "/v2/", login=value, note=note)


@case(fidelity=("`GET /token/`",), handler=_AUTH)
def get_token(target: Target) -> None:
    """What does the token endpoint accept, and what does it return?"""
    target.http("GET", "/token/", login="none")
    target.http("GET", "/token", login="none")
    target.http("GET", "/token/?service=public.ecr.aws&scope=aws", login="none")
    target.http("GET", "/token/?scope=repository:a/b:pull", login="basic")
    wrong = base64.b64encode(b"AWS:wrong").decode()
    target.http("GET", "/token/", login=f"Basic {wrong}", note="wrong password")
    target.http("GET", "/token/", login="token", note="a bearer token")


@case(
    fidelity=("`HEAD …/manifests/…`", "`GET …/manifests/…`", "unknown repository or alias"),
    settings=("get_manifest_digest_header",),
    handler=_READ,
)
def read_manifests(target: Target) -> None:
    """How are manifests read by tag and digest, and what is said about those that do not exist?"""
    one = image("one")
    target.put(one, "a")
    both = index("index", [one])
    target.put(both, "index")
    for reference in ("a", one.digest, "index", both.digest):
        target.read(reference, "HEAD")
        target.read(reference)
    target.read("a", login="anonymous")
    for reference in ("missing", _ABSENT, "sha256:short", "a+b"):
        target.read(reference)
        target.read(reference, "HEAD")
    for path in (target.missing_repository(), target.repository()):
        alias = target.unknown_alias if path == target.repository() else target.session.guard.alias
        target.http("GET", f"/v2/{alias}/{path}/manifests/a")


@case(
    fidelity=("`GET …/manifests/…`", "`translate_on_accept_mismatch`"),
    settings=("translate_on_accept_mismatch",),
    handler=_READ,
)
def read_with_another_media_type(target: Target) -> None:
    """Is a manifest converted, or refused, if the client does not accept its media type?"""
    oci = image("oci")
    docker = image(
        "docker",
        mediaType=_DOCKER,
        config=descriptor(CONFIG, "application/vnd.docker.container.image.v1+json"),
        layers=[descriptor(LAYER, "application/vnd.docker.image.rootfs.diff.tar.gzip")],
    )
    target.put(oci, "oci")
    target.put(docker, "docker")
    for made, tag, other in ((oci, "oci", _DOCKER), (docker, "docker", _OCI)):
        for reference in (tag, made.digest):
            target.read(reference, accept=other)
            target.read(reference, accept="application/vnd.docker.distribution.manifest.v1+json")
            target.read(reference, accept="")


@case(
    fidelity=(
        "`PUT …/manifests/…`",
        "a manifest that `PutImage` considers invalid",
        "missing layers, missing children, wrong digest",
        "`DELETE …/manifests/…`",
        "anonymous push",
    ),
    handler=("registry.failures",),
)
def push_manifests(target: Target) -> None:
    """How are manifests refused that are pushed over HTTP?"""
    one = image("one")
    target.put(one, "a")
    target.name(one.digest, "image one")

    def push(reference: str, body: bytes, note: str, media_type: str = _OCI, login: str = "token") -> None:
        headers = {"Content-Type": media_type}
        target.http("PUT", f"manifests/{reference}", headers=headers, body=body, note=note, login=login)

    push("b", b"{", "no JSON")
    push("b", image("no layers", layers=[]).manifest, "no layers")
    push("b", image("missing", layers=[descriptor(b"missing", LAYER_TYPE)]).manifest, "a missing layer")
    push("b", image("config", config=descriptor(b"missing", CONFIG_TYPE)).manifest, "a missing config")
    push("b", index("i", [image("absent")]).manifest, "a missing child", "application/vnd.oci.image.index.v1+json")
    push(_ABSENT, one.manifest, "another digest")
    push("a+b", one.manifest, "an invalid tag")
    push("b", one.manifest, "another content type", _DOCKER)
    push("b", one.manifest, "no login", login="none")
    push("b", one.manifest, "anonymous", login="anonymous")
    push("b", referrer("sbom", one).manifest, "a referrer")
    target.http("DELETE", "manifests/a")
    target.list_images()


@case(fidelity=("`GET …/tags/list`", "`GET /v2/_catalog`", "`GET …/referrers/…`"), handler=("registry.lists",))
def list_tags(target: Target) -> None:
    """How are tags listed, in pages, and what is said about wrong pages and about lists that do not exist?"""
    one = image("one")
    target.http("GET", "tags/list", note="of an empty repository")
    for tag in ("a", "b", "c"):
        target.put(one, tag)
    target.http("GET", "tags/list")
    target.http("GET", "tags/list", login="anonymous")
    page = target.send("GET", "tags/list?n=2")
    target.observe("tags in a page of two", len(page.data.get("tags", ())))
    target.observe("the page has a link to the next one", 'rel="next"' in page.headers.get("link", ""))
    for query in ("n=0", "n=1000", "n=1001", "last=a", "n=x"):
        target.http("GET", f"tags/list?{query}", note=query)
    target.http("GET", f"referrers/{_ABSENT}")
    target.http("GET", "referrers/nonsense")
    target.http("GET", "/v2/_catalog")


@case(fidelity=("an unknown path", "an unsupported method of a known path"))
def use_unsupported_routes(target: Target) -> None:
    """What does the registry say about paths and methods that it does not know?"""
    target.http("GET", "unknown")
    target.http("GET", "manifests")
    target.http("POST", "manifests/a")
    target.http("PATCH", "manifests/a")
    target.http("DELETE", "tags/list")
    target.http("DELETE", f"blobs/{_ABSENT}")


@case(fidelity=("`GET /token/`", "no token, anywhere below `/v2/`"), handler=("oci.host", "registry.challenge"))
def use_other_host(target: Target) -> None:
    """Is the other host name the same registry, for logins, reads and pushes?"""
    one = image("one")
    target.put(one, "a")
    target.name(one.digest, "image one")
    target.http("GET", "/v2/", login="none", host=1)
    target.http("GET", "/token/", login="basic", host=1)
    target.http("GET", "manifests/a", host=1, note="with the token of the first host")
    target.http("HEAD", f"manifests/{one.digest}", host=1)
    target.http("GET", "tags/list", host=1)
    headers = {"Content-Type": one.media_type}
    target.http("PUT", "manifests/b", host=1, headers=headers, body=one.manifest)
    target.http("POST", "blobs/uploads/", host=1)
    target.read("b", "HEAD")
