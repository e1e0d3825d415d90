"""Which manifests PutImage refuses, with which words, and what it checks first."""

from __future__ import annotations

from cdk_ecrpublic.live_check.case import case
from cdk_ecrpublic.live_check.images import CONFIG, CONFIG_TYPE, LAYER, LAYER_TYPE, Image, descriptor, image, index
from cdk_ecrpublic.live_check.images import referrer as referring
from cdk_ecrpublic.live_check.target import Target

_ERRORS = ("aws.errcode", "registry.failures")
_INVALID = "no media type anywhere, invalid JSON, not a manifest, an unsupported media type"

OTHER_DIGEST = f"sha256:{1:064}"
FOUR_MIB = 4 * 1024 * 1024


@case(fidelity=(_INVALID, "a withdrawn OCI artifact manifest"), handler=_ERRORS)
def put_invalid_manifests(target: Target) -> None:
    """What does PutImage say about something that is not a manifest?"""
    for name, text in (("no JSON", "{"), ("a list", "[]"), ("an error", '{"errors":[]}'), ("empty", "{}"), ("", "")):
        target.put(Image(name=name or "nothing", manifest=text.encode()), "a", imageDigest=None)
    target.put(image("no media type", mediaType=None), "a", imageManifestMediaType=None)
    target.put(image("unknown type", mediaType="application/x-unknown"), "a")
    target.put(image("artifact manifest", mediaType="application/vnd.oci.artifact.manifest.v1+json"), "a")
    target.put(image("version 3", schemaVersion=3), "a")


@case(fidelity=("schema 1",), settings=("schema1",))
def put_schema_1(target: Target) -> None:
    """Is a manifest of Docker schema 1 stored?"""
    layer = target.upload(LAYER)
    fields = {
        "schemaVersion": 1,
        "name": "x",
        "tag": "a",
        "architecture": "amd64",
        "fsLayers": [{"blobSum": layer}],
        "history": [{"v1Compatibility": "{}"}],
    }
    kind = "application/vnd.docker.distribution.manifest.v1+json"
    empty = {"config": None, "layers": None, "annotations": None}
    one = image("schema 1", **{**empty, **fields, "mediaType": kind})
    target.put(one, "a", imageDigest=None)
    target.put(one, "a", imageDigest=None, imageManifestMediaType=kind.replace("+json", "+prettyjws"))
    target.list_images()


@case(fidelity=("no layers", "a layer or config that is not in this repository"), handler=_ERRORS)
def put_without_layers(target: Target) -> None:
    """What does PutImage say about no layers, and about layers that are missing or in another repository?"""
    target.put(image("no layers", layers=[]), "a")
    target.put(image("no list of layers", layers=None), "a")
    missing = [descriptor(f"missing {number}".encode(), LAYER_TYPE) for number in (1, 2)]
    target.put(image("missing layer", layers=missing[:1]), "a")
    target.put(image("two missing layers", layers=missing), "a")
    target.put(image("missing config", config=descriptor(b"missing config", CONFIG_TYPE)), "a")
    elsewhere = b"in another repository"
    target.upload(elsewhere, "other")
    target.put(image("layer of another repository", layers=[descriptor(elsewhere, LAYER_TYPE)]), "a")


@case(fidelity=("a child that is not in this repository",), handler=_ERRORS)
def put_without_children(target: Target) -> None:
    """What does PutImage say about an index whose children are missing, or that has none?"""
    target.put(index("missing child", [image("absent")]), "a")
    target.put(index("two missing children", [image("absent"), image("absent too")]), "a")
    target.put(index("no children", []), "a")
    target.put(index("no list", [], manifests=None), "a")


@case(fidelity=("a digest that differs from the manifest's",), handler=_ERRORS)
def put_wrong_digest(target: Target) -> None:
    """What does PutImage say about a digest that is not that of the manifest?"""
    target.put(image("one"), "a", imageDigest=OTHER_DIGEST)
    target.put(image("one"), "a", imageDigest="nonsense")


@case(fidelity=("characters that are not allowed in tags",), handler=("oci.reference",))
def put_invalid_tags(target: Target) -> None:
    """Which tags are refused, and how long may one be?"""
    one = image("one")
    for tag in ("a+b", "a:b", "a/b", "a b", "-a", ".a", "ü"):
        target.put(one, tag)
    for length in (128, 129, 300, 301):
        target.put(one, "t" * length)
    target.list_images()


@case(fidelity=("media types with parameters",), settings=("media_type_parameters",), handler=("publish.attachments",))
def put_media_type_parameters(target: Target) -> None:
    """Are media types with parameters stored, in a layer, in the config and as an artifact type?"""
    kind = "application/vnd.dev.sigstore.bundle+json;version=0.2"
    target.put(image("layer", layers=[descriptor(LAYER, kind)]), "a")
    target.put(image("config", config=descriptor(CONFIG, kind)), "b")
    target.put(image("artifact type", artifactType=kind), "c")


@case(
    fidelity=("`subject`, `artifactType`", "a subject that does not exist"),
    settings=("subject_must_exist",),
    handler=("publish.attachments",),
)
def put_referrers(target: Target) -> None:
    """Is a referrer stored whose subject does not exist, and is it listed once it does?"""
    late = image("late")
    sbom = referring("sbom", late)
    target.put(sbom)
    target.name(late.digest, "image late")
    target.http("GET", f"referrers/{late.digest}")
    target.put(late, "a")
    target.http("GET", f"referrers/{late.digest}")
    target.http("GET", f"referrers/{late.digest}?artifactType=application/vnd.example.other")
    target.describe(sbom)


@case(fidelity=("more than 4 MiB",))
def put_large_manifest(target: Target) -> None:
    """Is a manifest of 4 MiB stored, and what is said about one byte more?"""
    small = len(image("large", annotations={"name": ""}).manifest)
    for name, size in (("four MiB", FOUR_MIB), ("one byte more", FOUR_MIB + 1)):
        large = image("large", annotations={"name": "x" * (size - small)})
        target.put(Image(name=name, manifest=large.manifest, blobs=large.blobs), "a")


@case(handler=("aws.errcode", "ecr_public.repository.EcrPublicRepository._put"))
def put_with_two_errors(target: Target) -> None:
    """Which of two errors does PutImage report?"""
    missing = target.missing_repository()
    good, absent = image("good"), image("missing layer", layers=[descriptor(b"missing", LAYER_TYPE)])
    invalid = Image(name="no JSON", manifest=b"{")
    target.put(invalid, "a+b")
    target.put(invalid, "a", imageDigest=OTHER_DIGEST)
    target.put(image("no layers", layers=[]), "a", imageDigest=OTHER_DIGEST)
    target.put(absent, "a", imageDigest=OTHER_DIGEST)
    target.put(absent, "a+b")
    for tag in ("a", "a+b"):
        target.api("PutImage", repositoryName=missing, imageManifest="{", imageTag=tag, note=f"invalid, tag {tag}")
    target.put(good, "a")
    target.put(good, "a", imageDigest=OTHER_DIGEST)
    target.put(good, "a", registryId=target.unknown_alias)


@case(fidelity=("an alias or account without a registry",), handler=("ecr_public.location",))
def put_elsewhere(target: Target) -> None:
    """What does PutImage say about a repository or a registry that does not exist?"""
    text, missing = image("one").text, target.missing_repository()
    target.api("PutImage", repositoryName=missing, imageManifest=text, imageTag="a", note="of image one")
    target.api(
        "PutImage",
        repositoryName=missing,
        registryId=target.unknown_alias,
        imageManifest=text,
        imageTag="a",
        note="of image one",
    )
    target.api("DescribeImages", repositoryName=missing)
    target.api("DescribeImages", registryId=target.unknown_alias)
