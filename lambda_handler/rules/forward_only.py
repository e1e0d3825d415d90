"""Tags that may only move to a higher version, such as ``latest`` and ``1``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from ..errors import ImageError
from ..oci import Digest, Manifest, parse_tag_pattern
from ..oci.bounded_json import parse_config, parse_json
from ..oci.version import Version, parse_affix
from ..publish.content import CONFIG_MAX_BYTES, IMAGE_CONFIGS, read_config
from ..publish.ports import Origin
from ..publish.rule import Release, Rule
from ..values import Value

VERSION = "org.opencontainers.image.version"
"""The annotation of a manifest, or the label of a config, with the version of the image."""

_UNREADABLE = "a version that cannot be read"
"""The key of a fact; see ``Release.facts``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardOnly(Rule):
    """
    Moving tags that must not go to a lower version, in the order of semver.org.

    A full version is not a moving tag. A prerelease never moves a tag, unless
    the tag is at a lower prerelease.

    Shape:
        ``"ForwardOnly": {"Tags": ["latest", "1*"], "OnOlder": "Skip" or
        "Refuse", "OnUnknown": "Refuse" or "Proceed", "Prefix": "v",
        "Suffix": "-debug"}``; only Tags is required, and the first value is
        the default.

    Attributes:
        refuses: Whether a lower version is refused; if not, the tag stays.
        needs_version: Whether a version that is not known is refused.
    """

    patterns: tuple[str, ...]
    refuses: bool = False
    needs_version: bool = True
    prefix: str = ""
    suffix: str = ""

    @classmethod
    def decode(cls, value: Value) -> ForwardOnly:
        """Decode ``ForwardOnly``."""
        fields = value.fields(("Tags", "OnOlder", "OnUnknown", "Prefix", "Suffix"))
        if "Tags" not in fields or not fields["Tags"].items():
            value.refuse("has no Tags; add the tags that may only move forward, e.g. ['latest']")
        on_older, on_unknown = fields.get("OnOlder"), fields.get("OnUnknown")
        prefix, suffix = fields.get("Prefix"), fields.get("Suffix")
        return cls(
            patterns=fields["Tags"].each(lambda item: item.parse(parse_tag_pattern)),
            refuses=on_older is not None and on_older.choice(("Skip", "Refuse")) == "Refuse",
            needs_version=on_unknown is None or on_unknown.choice(("Refuse", "Proceed")) == "Refuse",
            prefix=prefix.parse(parse_affix) if prefix else "",
            suffix=suffix.parse(parse_affix) if suffix else "",
        )

    def may_leave(self, tag: str) -> bool:
        """Whether *tag* is a moving tag of this rule."""
        return any(fnmatchcase(tag, pattern) for pattern in self.patterns) and self._version(tag) is None

    def reads(self, release: Release) -> bool:
        """Whether a version is not among the tags that are known, so that a label has to be read."""
        moves = self._moves(release)
        known = release.ports.destination.known_tags
        images = [frozenset(release.tags), *map(known, moves.values())]
        return bool(moves) and None in map(self._highest, images)

    def violations(self, release: Release) -> Iterator[str]:
        """Refuse a lower version, if that is declared, and a version that is not known."""
        moves = self._moves(release)
        version = self._released(release) if moves else None
        if moves and version is None:
            if self.needs_version:
                yield (
                    f"the version of this release is not known, so {', '.join(moves)} may not move: none of its tags "
                    f"is a full version such as {self._example!r}, and the image has no {VERSION}; add the tag, or "
                    "set OnUnknown to Proceed"
                )
            return
        for tag, digest in moves.items():
            now = self._found(release, digest)
            if version is not None and _is_ahead(now, version):
                if self.refuses:
                    yield f"tag {tag!r} may only move forward: {_explain(now, version)}; release without this tag"
            elif now is None and self.needs_version:
                yield (
                    f"tag {tag!r} may only move forward, but the version of its image {digest} is not known: it has "
                    f"no tag with a full version such as {self._example!r}, and no {VERSION}; tag it with its "
                    "version, or set OnUnknown to Proceed"
                )

    def stays(self, release: Release) -> Mapping[str, str]:
        """
        Return the tags that are at a higher version, with the reason.

        In an undo, a tag that the undone release put or removed returns, to
        the image before. Others stay if they are ahead, even if the rule
        refuses; one whose version cannot be read returns, because nothing may
        stop an undo.
        """
        if self.refuses and not release.is_undo:
            return {}
        moves = self._moves(release)
        version = self._released(release) if moves else None
        returns = self._returns(release)
        found = {tag: f"the release that is undone took it over from {at}" for tag, at in returns.items()}
        for tag, digest in moves.items():
            if tag in found or tag in release.returning:
                continue
            if version is not None and _is_ahead(now := self._found(release, digest), version):
                found[tag] = _explain(now, version)
        return found

    def _returns(self, release: Release) -> dict[str, Digest]:
        """Return the moving tags that an undo gives back; both releases may have the same image."""
        taken = {tag: at for tag, at in release.taken.items() if tag in release.tags and self.may_leave(tag)}
        return {tag: at for tag, at in taken.items() if release.found.get(tag) in {release.undone, release.digest}}

    def _moves(self, release: Release) -> dict[str, Digest]:
        """Return the moving tags that point to other images, each with its image."""
        found = {tag: release.found[tag] for tag in release.tags if tag in release.found and self.may_leave(tag)}
        return {tag: digest for tag, digest in found.items() if digest != release.digest}

    def _released(self, release: Release) -> Version | None:
        def look() -> Version | None:
            return self._highest(release.tags) or self._labelled(release, release.content.root)

        return self._once(release, None, look)

    def _found(self, release: Release, digest: Digest) -> Version | None:
        """Return the version of an image that a tag points to now."""

        def look() -> Version | None:
            repository = release.ports.destination
            return self._highest(repository.tags_read([digest]).get(digest, ())) or self._labelled(
                release, repository.manifest(digest)
            )

        return self._once(release, digest, look)

    def _once(self, release: Release, image: Digest | None, look: Callable[[], Version | None]) -> Version | None:
        """Return the version that *look* finds; in an undo, None after the first failure, so that it has no delay."""

        def read() -> Version | None:
            if not release.is_undo:
                return look()
            if _UNREADABLE not in release.facts:
                try:
                    return look()
                except ImageError:
                    release.facts[_UNREADABLE] = True
            return None

        return release.once((self.prefix, self.suffix, image), read)

    def _labelled(self, release: Release, root: Manifest) -> Version | None:
        content, destination = release.content, release.ports.destination
        known = {part.digest: part for part in content.parts}

        def read(digest: Digest) -> Manifest:
            return known.get(digest) or destination.manifest(digest)

        def origin_of(digest: Digest) -> Origin:
            if release.is_undo:
                # The image was deployed, and its source may be throttled or gone.
                return destination
            own = content.origin if digest == content.root.digest else destination
            return content.origins.get(digest, own)

        text = _version_label(root, read, origin_of)
        return self._version(text) or Version.find(text.removeprefix("v"))

    def _highest(self, tags: Iterable[str]) -> Version | None:
        versions = [version for tag in tags if (version := self._version(tag)) is not None]
        return max(versions, key=lambda version: version.precedence, default=None)

    def _version(self, tag: str) -> Version | None:
        return Version.of_tag(tag, self.prefix, self.suffix)

    @property
    def _example(self) -> str:
        return f"{self.prefix}1.9.1{self.suffix}"


def _is_ahead(now: Version | None, released: Version) -> bool:
    """Whether a tag at version *now* must not go to *released*."""
    if released.prerelease and (now is None or not now.prerelease):
        return True
    return now is not None and now.precedence > released.precedence


def _explain(now: Version | None, released: Version) -> str:
    at = f"it is at {now}" if now else "the version that it is at is not known"
    if released.prerelease and (now is None or not now.prerelease):
        return f"{at}, and {released} is a prerelease"
    return f"{at}, which is higher than {released}"


def _version_label(root: Manifest, read: Callable[[Digest], Manifest], origin_of: Callable[[Digest], Origin]) -> str:
    """
    Return the text of ``org.opencontainers.image.version``; empty if the image does not have it.

    An annotation comes before the label of a config. Of an index without an
    annotation, the first image counts.

    Args:
        root: The image.
        read: Reads a manifest that *root* lists.
        origin_of: Returns where the config of a manifest can be read.

    Raises:
        ImageError: A manifest or config cannot be read.
    """
    if text := _annotation(root):
        return text
    image = root
    if root.is_index:
        first = next((child for child in root.children if child.image_platform), None)
        if first is None:
            return ""
        image = read(first.digest)
        if image.is_index or (text := _annotation(image)):
            return text
    config = image.blobs[0]
    if config.media_type not in IMAGE_CONFIGS or config.size > CONFIG_MAX_BYTES:
        return ""
    content = read_config(config, origin_of(image.digest))
    try:
        data: Any = parse_config(content)
        return _text(data["config"]["Labels"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""


def _annotation(manifest: Manifest) -> str:
    data: Any = parse_json(manifest.content)
    return _text(data.get("annotations"))


def _text(names: Any) -> str:  # noqa: ANN401 - JSON
    text = names.get(VERSION) if isinstance(names, dict) else None
    return text if isinstance(text, str) else ""
