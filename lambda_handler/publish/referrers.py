"""The referrers of an image: signatures, SBOMs and attestations that are copied with it."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..concurrency import map_concurrently
from ..oci import Digest, Manifest, ManifestMediaType
from .content import Content
from .ports import Upstream
from .tree import MAX_CONCURRENT_READS, Allowance, collect_with_descendants, read_listed

TAG_SUFFIXES = ("", ".sig", ".att", ".sbom")
"""
The suffixes of the tags ``sha256-<hex>…``.

The tag without a suffix is the index of referrers that clients maintain if a
registry has no referrers API (OCI distribution-spec v1.1, "Referrers Tag
Schema"). cosign uses the others.
"""

MAX_CONCURRENT_LISTS = 2
"""How many lists of referrers are read concurrently. Each may have up to 4 MiB."""

LEVELS_MAX = 3
"""How many levels of referrers are copied. The signature of an SBOM of an image is on the second."""


def with_referrers(content: Content, levels: int = LEVELS_MAX) -> Content:
    """
    Add the referrers of all copied manifests, and the referrers of those.

    Manifests that are already in the destination are not looked up.

    Args:
        levels: How many levels of referrers to add.

    Raises:
        InvalidManifestError: They exceed the limits of ``Allowance``.
        IntegrityError: A referrer has another digest or size than its list says.
        NotFoundError: A list contains a manifest that does not exist.
    """
    origins = dict(content.origins)
    referrers: dict[Digest, Manifest] = {}
    tags: dict[str, Manifest] = {}
    subjects: Sequence[Digest] = tuple(origins)
    allowance = Allowance("the set of referrers of the image")
    for _ in range(levels):
        asked = _with_their_tags({subject: origins[subject] for subject in subjects})
        refer = functools.partial(_referring_to, known=frozenset(origins), allowance=allowance)
        answers = map_concurrently(refer, asked, max_workers=MAX_CONCURRENT_LISTS)
        found: dict[Digest, Manifest] = {}
        for subject, (manifests, tagged) in zip(subjects, answers, strict=True):
            tags |= tagged
            new = {digest: manifest for digest, manifest in manifests.items() if digest not in origins}
            origins |= dict.fromkeys(new, origins[subject])
            found |= new
        referrers |= found
        subjects = tuple(found)
    return replace(content, origins=origins, referrers=tuple(referrers.values()), referrer_tags=tags)


def _with_their_tags(origins: Mapping[Digest, Upstream]) -> list[tuple[Digest, Upstream, list[str]]]:
    """Add the referrer tags of each subject that exist. This check costs less than reading, and most have none."""
    names = [(subject, f"sha256-{subject.hex}{suffix}") for subject in origins for suffix in TAG_SUFFIXES]
    there = map_concurrently(lambda each: origins[each[0]].has_tag(each[1]), names, max_workers=MAX_CONCURRENT_READS)
    tags: dict[Digest, list[str]] = {subject: [] for subject in origins}
    for (subject, name), is_there in zip(names, there, strict=True):
        tags[subject] += [name] * is_there
    return [(subject, origin, tags[subject]) for subject, origin in origins.items()]


def _referring_to(
    asked: tuple[Digest, Upstream, Sequence[str]], *, known: frozenset[Digest], allowance: Allowance
) -> tuple[Mapping[Digest, Manifest], Mapping[str, Manifest]]:
    """
    Return the referrers of a subject, children before their parents; and those of them that have a tag, by tag.

    Args:
        asked: The subject, its origin, and its referrer tags that exist.
        known: Manifests to ignore. A registry may resolve a tag that looks like
            a digest to the image with this digest.
    """
    subject, origin, names = asked
    tags: dict[str, Manifest] = {}
    manifests: dict[Digest, Manifest] = {}
    for name in names:
        tagged = origin.tagged(name)
        if tagged is None or tagged.digest in known:
            continue
        allowance.take_unlisted(tagged)
        if _is_list(name):
            listed, is_whole = _listed_under(tagged, name, subject, origin, allowance)
            manifests |= listed
        else:
            is_whole = not (tagged.is_index or _is_ordinary_image(tagged))
        tags |= {name: tagged} if is_whole else {}
    entries, by = origin.referrers(subject), f"the list of referrers of {subject}"
    allowance.take(entries)
    listed_by_registry = [read_listed(entry, by, origin, allowance) for entry in entries]
    for root in (*_referring(listed_by_registry, subject), *tags.values()):
        collect_with_descendants(root, origin, manifests, allowance)
    return manifests, tags


def _referring(manifests: Sequence[Manifest], subject: Digest) -> Sequence[Manifest]:
    """Return the manifests that have *subject*. A list may contain others, which a release does not publish."""
    return [manifest for manifest in manifests if manifest.subject and manifest.subject.digest == subject]


def _is_ordinary_image(manifest: Manifest) -> bool:
    """Whether all layers are file systems. Some registries resolve any tag, also that of a signature, to an image."""
    return all("tar" in layer.media_type for layer in manifest.blobs[1:])


def _is_list(name: str) -> bool:
    """Whether a tag is that of a list of referrers, and not that of a single signature."""
    return "." not in name


def _listed_under(
    tagged: Manifest, name: str, subject: Digest, origin: Upstream, allowance: Allowance
) -> tuple[Mapping[Digest, Manifest], bool]:
    """
    Return the referrers of *subject* in the list with a tag, and whether the list contains nothing else.

    Any manifest may have such a tag. The caller copies the tag only if the list
    contains nothing else.
    """
    manifests: dict[Digest, Manifest] = {}
    if tagged.media_type is not ManifestMediaType.OCI_INDEX:
        return manifests, False
    allowance.take(tagged.children)
    by = f"the tag {name}"
    listed = [read_listed(entry, by, origin, allowance) for entry in tagged.children]
    fitting = _referring(listed, subject)
    for manifest in fitting:
        collect_with_descendants(manifest, origin, manifests, allowance)
    return manifests, len(fitting) == len(listed)
