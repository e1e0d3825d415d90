"""What refers to an image: the signatures, SBOMs and attestations that a copy takes along."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..concurrency import map_concurrently
from ..oci import Digest, Manifest, ManifestMediaType
from .content import Content
from .ports import Upstream
from .tree import READERS, Allowance, descend_whole, read_listed

TAG_SUFFIXES = ("", ".sig", ".att", ".sbom")
"""
Of the tags ``sha256-<hex>…``.

Without any: the index of referrers that clients keep where a registry has no
list of them (OCI distribution-spec v1.1, "Referrers Tag Schema"). The others
are cosign's.
"""

LISTS_AT_ONCE = 2
"""How many lists are read at once. Nothing says how long they are: up to 4 MiB each."""

LEVELS_MAX = 3
"""A signature of an SBOM of an image are two."""


def with_referrers(content: Content) -> Content:
    """
    Add all that refers to what is copied, and what refers to that.

    What the destination has already is not looked at: its referrers are there.

    Raises:
        InvalidManifestError: There are more than 2,000 manifests in all, or they are too long.
        IntegrityError: One of them is not what its list says of it.
        NotFoundError: A list names what is not there.
    """
    origins = dict(content.origins)
    referrers: dict[Digest, Manifest] = {}
    tags: dict[str, Manifest] = {}
    subjects: Sequence[Digest] = tuple(origins)
    allowance = Allowance("what refers to the image")
    for _ in range(LEVELS_MAX):
        asked = _with_their_tags({subject: origins[subject] for subject in subjects})
        refer = functools.partial(_referring_to, known=frozenset(origins), allowance=allowance)
        answers = map_concurrently(refer, asked, max_workers=LISTS_AT_ONCE)
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
    """Look which of their tags the subjects have: most have none, and registries count what is read."""
    names = [(subject, f"sha256-{subject.hex}{suffix}") for subject in origins for suffix in TAG_SUFFIXES]
    there = map_concurrently(lambda each: origins[each[0]].has_tag(each[1]), names, max_workers=READERS)
    tags: dict[Digest, list[str]] = {subject: [] for subject in origins}
    for (subject, name), is_there in zip(names, there, strict=True):
        tags[subject] += [name] * is_there
    return [(subject, origin, tags[subject]) for subject, origin in origins.items()]


def _referring_to(
    asked: tuple[Digest, Upstream, Sequence[str]], *, known: frozenset[Digest], allowance: Allowance
) -> tuple[Mapping[Digest, Manifest], Mapping[str, Manifest]]:
    """
    Return the manifests that refer to a subject, children before parents, and the tags that some have.

    Args:
        asked: The subject, where it is, and which of its tags are there.
        known: What is copied already: a registry may answer a tag that looks
            like a digest with the image of that digest.
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
            is_whole = not tagged.is_index
        tags |= {name: tagged} if is_whole else {}
    entries, by = origin.referrers(subject), f"the list of what refers to {subject}"
    allowance.take(entries)
    listed_by_registry = [read_listed(entry, by, origin, allowance) for entry in entries]
    for root in (*listed_by_registry, *tags.values()):
        descend_whole(root, origin, manifests, allowance)
    return manifests, tags


def _is_list(name: str) -> bool:
    """Whether a tag is one of a list of referrers, and not of a signature itself."""
    return "." not in name


def _listed_under(
    tagged: Manifest, name: str, subject: Digest, origin: Upstream, allowance: Allowance
) -> tuple[Mapping[Digest, Manifest], bool]:
    """
    Return what the list under a tag holds that refers to *subject*, and whether that is all of it.

    Anything may have such a tag. The tag itself comes along only where it is
    such a list, the rest without.
    """
    manifests: dict[Digest, Manifest] = {}
    if tagged.media_type is not ManifestMediaType.OCI_INDEX:
        return manifests, False
    allowance.take(tagged.children)
    by = f"the tag {name}"
    listed = [read_listed(entry, by, origin, allowance) for entry in tagged.children]
    fitting = [manifest for manifest in listed if manifest.subject and manifest.subject.digest == subject]
    for manifest in fitting:
        descend_whole(manifest, origin, manifests, allowance)
    return manifests, len(fitting) == len(listed)
