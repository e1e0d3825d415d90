"""What BatchDeleteImage removes, and what it refuses."""

from __future__ import annotations

from cdk_ecrpublic.live_check.case import case
from cdk_ecrpublic.live_check.images import image, index, referrer
from cdk_ecrpublic.live_check.target import Target

_DELETE = "`BatchDeleteImage`"
_REMOVE = (
    "ecr_public.repository.EcrPublicRepository.remove_tags",
    "ecr_public.repository.EcrPublicRepository.remove_images",
    "publish.remove.Remover.remove",
)

UNKNOWN = f"sha256:{0:064}"


@case(fidelity=(_DELETE,), handler=_REMOVE)
def remove_tags(target: Target) -> None:
    """Is an image kept if one of its tags is removed, and deleted with its last one?"""
    one = image("one")
    target.put(one, "a")
    target.put(one, "b")
    target.delete({"imageTag": "a"})
    target.describe(one)
    target.delete({"imageTag": "b"})
    target.describe(one)
    target.read(one.digest)


@case(fidelity=(_DELETE,), handler=_REMOVE)
def remove_by_digest(target: Target) -> None:
    """Does a removal by digest remove all tags, and what does the response list?"""
    one, untagged = image("one"), image("untagged")
    target.put(one, "a")
    target.put(one, "b")
    target.put(untagged)
    target.delete({"imageDigest": one.digest}, {"imageDigest": untagged.digest})
    target.list_images()


@case(fidelity=("`BatchDeleteImage` with digest and tag",), handler=_REMOVE)
def remove_by_digest_and_tag(target: Target) -> None:
    """Does a removal by digest and tag remove the tag only, and only if it points to the digest?"""
    one, other = image("one"), image("other")
    target.put(one, "a")
    target.put(one, "b")
    target.put(other, "c")
    target.delete({"imageDigest": one.digest, "imageTag": "c"})
    target.delete({"imageDigest": one.digest, "imageTag": "a"})
    target.list_images()
    target.delete({"imageDigest": one.digest, "imageTag": "b"})
    target.list_images()


@case(fidelity=(_DELETE,), handler=_REMOVE)
def remove_unknown(target: Target) -> None:
    """What does BatchDeleteImage say about ids that do not exist, or are not valid?"""
    target.put(image("one"), "a")
    ids: tuple[dict[str, str], ...] = (
        {"imageTag": "x"},
        {"imageDigest": UNKNOWN},
        {"imageDigest": "nonsense"},
        {"imageTag": "a b"},
        {},
    )
    for each in ids:
        target.delete(each)
    target.delete({"imageTag": "x"}, {"imageTag": "a"})
    target.delete(*[{"imageTag": f"x{number}"} for number in range(101)])
    target.delete()


@case(
    fidelity=(_DELETE,),
    settings=("removed_index_lag_seconds",),
    handler=(*_REMOVE, "publish.remove.Remover._sweep"),
)
def remove_child_of_index(target: Target) -> None:
    """Is a child of an index kept, by digest, by its last tag, and after the index is gone?"""
    child, tagged = image("child"), image("tagged child")
    both = index("index", [child, tagged])
    target.put(child)
    target.put(tagged, "child")
    target.put(both, "index")
    target.delete({"imageDigest": child.digest})
    target.delete({"imageTag": "child"})
    target.delete({"imageTag": "index"})
    target.list_images()
    target.delete({"imageDigest": child.digest}, {"imageTag": "child"})


@case(fidelity=("`BatchDeleteImage` of an index and its children at once",), handler=_REMOVE)
def remove_index_with_children(target: Target) -> None:
    """Can an index and its children be removed in one request, in both orders?"""
    for order in ("index first", "child first"):
        child = image(f"child, {order}")
        parent = index(f"index, {order}", [child])
        target.put(child)
        target.put(parent)
        ids = [{"imageDigest": parent.digest}, {"imageDigest": child.digest}]
        target.delete(*(ids if order == "index first" else reversed(ids)))
        target.list_images()


@case(
    fidelity=("`BatchDeleteImage` of a subject", "`GET …/referrers/…`"),
    handler=(*_REMOVE, "publish.attachments", "retention.decision"),
)
def remove_subject(target: Target) -> None:
    """Do the referrers of an image stay if it is removed, and are they still listed?"""
    one = image("one")
    target.put(one, "a")
    sbom = referrer("sbom", one)
    target.put(sbom)
    target.http("GET", f"referrers/{one.digest}")
    target.delete({"imageDigest": one.digest})
    target.list_images()
    target.http("GET", f"referrers/{one.digest}")
    target.delete({"imageDigest": sbom.digest})


@case(fidelity=("`DeleteRepository`",))
def remove_repository(target: Target) -> None:
    """Is a repository with an image refused, and what is said about one that does not exist?"""
    target.put(image("one"), "a")
    target.api("DeleteRepository")
    target.api("DeleteRepository", repositoryName=target.missing_repository())
