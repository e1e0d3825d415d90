"""Images in a sandbox of this process, stored without uploading their blobs: the set-up of thousands of tests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from cdk_ecrpublic._assets.lambda_handler.oci import Digest
from cdk_ecrpublic.sandbox import Sandbox, images
from cdk_ecrpublic.sandbox.images import Image
from cdk_ecrpublic.sandbox.store.state import Layer


def push_image(sandbox: Sandbox, repository: str, image: Image, tags: Sequence[str] = ()) -> None:
    """Push an image as ``sandbox.images.push_image`` does, but send its manifests only, and not its blobs."""
    store = sandbox.store
    with store.lock:
        layers = store.registry_of(sandbox.account).repositories[repository].layers
        for text, content in _blobs(image):
            digest = Digest.parse(text)
            path = store.folder / f"layer-{digest.hex}"
            path.write_bytes(content)
            layers[digest] = Layer(digest=digest, size=len(content), path=path)
    images.push_image(sandbox, repository, _with_one_blob(image), tags)


def _blobs(image: Image) -> Iterator[tuple[str, bytes]]:
    yield from image.blobs.items()
    for child in image.children:
        yield from _blobs(child)


def _with_one_blob(image: Image) -> Image:
    """Leave only the first blob: a client asks whether it exists, and gets its token that way."""
    if not image.children:
        return replace(image, blobs=dict([*image.blobs.items()][:1]))
    first, *others = image.children
    return replace(image, blobs={}, children=(_with_one_blob(first), *map(_without_blobs, others)))


def _without_blobs(image: Image) -> Image:
    return replace(image, blobs={}, children=tuple(map(_without_blobs, image.children)))
