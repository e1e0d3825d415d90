"""Archives as sources: read at synthesis, uploaded with the stack, and readable as a single object."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App, CfnParameter, Stack
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk.assertions import Annotations, Match, Template

from cdk_ecrpublic import IImageSource, ImageSource, PublicImage, PublicRepository
from cdk_ecrpublic._assets.lambda_handler.archive import open_archive
from cdk_ecrpublic.constructs._sources.archive_file import LayoutFolder
from cdk_ecrpublic.sandbox.images import build_image
from tests.support.archives import NAME, MemoryObject, layout_of, saved, tar_of

ONE, TWO = build_image({"a": b"1"}, platforms=("linux/amd64", "linux/arm64")), build_image({"a": b"2"})
FILES = layout_of((ONE, {NAME: "agent:1"}), (TWO, {NAME: "agent:2"}))


@pytest.fixture
def stack() -> Stack:
    return Stack(App(), "Stack")


def publish(stack: Stack, source: IImageSource, **options: Any) -> None:
    repository = PublicRepository.from_repository_name(stack, "Repository", "acme/agent")
    PublicImage(stack, "Release", repository=repository, source=source, tags=["1"], **options)


def properties(stack: Stack) -> dict[str, Any]:
    (found,) = Template.from_stack(stack).find_resources("Custom::ECRPublicImage").values()
    return dict(found["Properties"])


def granted(stack: Stack, action: str) -> list[Any]:
    """Return the resources on which the function may do *action*."""
    policies = Template.from_stack(stack).find_resources("AWS::IAM::Policy").values()
    statements = [each for policy in policies for each in policy["Properties"]["PolicyDocument"]["Statement"]]
    return [each["Resource"] for each in statements if action in each["Action"]]


def asset(stack: Stack, key: str) -> bytes:
    """Return the content that will be uploaded under a key."""
    app = stack.node.root
    assert isinstance(app, App)
    (path,) = Path(app.synth().directory).glob(f"asset.{key.partition('.')[0]}*")
    return path.read_bytes()


def write_folder(folder: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def linked_folder(folder: Path) -> Path:
    """A layout as Bazel creates it, in which every file is a symbolic link."""
    real = write_folder(folder / "real", FILES)
    for name in FILES:
        (folder / "links" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "links" / name).symlink_to(real / name)
    return folder / "links"


def tar_file(folder: Path) -> Path:
    (folder / "image.tar").write_bytes(tar_of(FILES))
    return folder / "image.tar"


def gzip_file(folder: Path) -> Path:
    (folder / "image.tar.gz").write_bytes(gzip.compress(tar_of(FILES)))
    return folder / "image.tar.gz"


@pytest.mark.parametrize(
    "make", [tar_file, gzip_file, lambda folder: write_folder(folder / "layout", FILES), linked_folder]
)
def test_uploads_an_archive_and_knows_its_digest(stack: Stack, tmp_path: Path, make: Callable[[Path], Path]) -> None:
    path = make(tmp_path)

    publish(stack, ImageSource.archive(path, reference="agent:1"))

    found = properties(stack)
    assert found["ImageDigest"] == ONE.digest
    assert found["ServiceTimeout"] == "960"
    archive = found["Source"]["Archive"]
    assert (archive.keys(), archive["Reference"]) == ({"Bucket", "Key", "Reference"}, "agent:1")
    (granted_on,) = granted(stack, "s3:GetObject")
    assert granted_on["Fn::Join"][1][-1] == f"/{archive['Key']}"
    uploaded = asset(stack, archive["Key"])
    assert open_archive(MemoryObject(uploaded)).find("agent:1").content == ONE.manifest
    assert path.is_dir() or uploaded == path.read_bytes()
    Annotations.from_stack(stack).has_no_warning("*", Match.any_value())


def test_the_only_image_of_a_docker_save_needs_no_reference(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "saved.tar").write_bytes(tar_of(saved(b"layer")))

    publish(stack, ImageSource.archive(tmp_path / "saved.tar"))

    assert properties(stack)["Source"]["Archive"].keys() == {"Bucket", "Key"}
    assert properties(stack)["ImageDigest"].startswith("sha256:")


def test_a_part_of_an_index_can_be_an_archive(stack: Stack, tmp_path: Path) -> None:
    parts = {
        platform: ImageSource.archive(tar_file(tmp_path), reference="1") for platform in ("linux/amd64", "linux/arm64")
    }

    publish(stack, ImageSource.index(parts))

    entries = properties(stack)["Source"]["Index"]["Manifests"]
    assert [entry["Source"].keys() for entry in entries] == [{"Archive"}, {"Archive"}]


def test_accepts_a_reference_that_is_known_only_at_deployment(stack: Stack, tmp_path: Path) -> None:
    name = CfnParameter(stack, "Parameter").value_as_string

    publish(stack, ImageSource.archive(tar_file(tmp_path), reference=name))

    assert properties(stack)["Source"]["Archive"]["Reference"] == {"Ref": "Parameter"}
    assert "ImageDigest" not in properties(stack)


def test_the_tar_file_of_a_folder_is_deterministic_and_contains_nothing_else(tmp_path: Path) -> None:
    first = LayoutFolder(write_folder(tmp_path / "first", FILES))
    others = {**dict(reversed(FILES.items())), "README.md": b"x", "blobs/sha256/folder/file": b"x", ".git/config": b"x"}
    second = LayoutFolder(write_folder(tmp_path / "second", others))

    packed = b"".join(first.read(0, first.size))

    assert packed == b"".join(second.read(0, second.size)) == first.write(tmp_path).read_bytes()
    assert len(packed) == first.size
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        members = tar.getmembers()
        assert [member.name for member in members] == sorted(FILES)
        assert {(member.mtime, member.uid, member.gid, member.uname, member.mode) for member in members} == {
            (0, 0, 0, "", 0o644)
        }
        assert {member.name: tar.extractfile(member).read() for member in members} == FILES  # type: ignore[union-attr]
    assert open_archive(first).find("agent:2").content == TWO.manifest


@pytest.mark.parametrize("start", [0, 1, 511, 512, 513, 1000, 3000])
def test_any_range_of_that_tar_file_can_be_read(tmp_path: Path, start: int) -> None:
    layout = LayoutFolder(write_folder(tmp_path, FILES))
    packed = b"".join(layout.read(0, layout.size))

    for stop in (start, start + 1, start + 700, layout.size + 10):
        assert b"".join(layout.read(start, stop)) == packed[start:stop]


@pytest.fixture
def bucket(stack: Stack) -> s3.IBucket:
    return s3.Bucket.from_bucket_name(stack, "Bucket", "releases")


def test_grants_and_renders_exactly_the_given_object(stack: Stack, bucket: s3.IBucket) -> None:
    publish(stack, ImageSource.archive_object(bucket, "agent/1.4.tar", reference="agent:1"))

    assert properties(stack)["Source"] == {
        "Archive": {"Bucket": "releases", "Key": "agent/1.4.tar", "Reference": "agent:1"}
    }
    arn = {"Fn::Join": ["", ["arn:", {"Ref": "AWS::Partition"}, ":s3:::releases/agent/1.4.tar"]]}
    assert granted(stack, "s3:GetObject") == [arn]
    assert granted(stack, "kms:Decrypt") == []


def test_also_grants_the_key_of_an_encrypted_bucket(stack: Stack) -> None:
    key = kms.Key(stack, "Key")
    bucket = s3.Bucket(stack, "Bucket", encryption_key=key, encryption=s3.BucketEncryption.KMS)

    publish(stack, ImageSource.archive_object(bucket, "image.tar"))

    logical_id = stack.get_logical_id(key.node.default_child)  # type: ignore[arg-type]
    assert granted(stack, "kms:Decrypt") == [{"Fn::GetAtt": [logical_id, "Arn"]}]


def test_warns_that_an_object_may_become_another_image(stack: Stack, bucket: s3.IBucket) -> None:
    publish(stack, ImageSource.archive_object(bucket, "image.tar"))

    said = "the source may later point to another image: the object image.tar; cdk diff cannot see that"
    Annotations.from_stack(stack).has_warning("/Stack/Release", Match.string_like_regexp(said))


def test_does_not_warn_about_an_object_with_a_digest(stack: Stack, bucket: s3.IBucket) -> None:
    publish(stack, ImageSource.archive_object(bucket, "image.tar", reference=ONE.digest))

    Annotations.from_stack(stack).has_no_warning("*", Match.any_value())


@pytest.mark.parametrize(
    ("make", "reference", "said"),
    [
        (lambda folder: folder / "none.tar", None, "none.tar' cannot be read: No such file or directory"),
        (
            tar_file,
            None,
            "image.tar contains 2 images, and no reference selects one of them; its images are: agent:1 (",
        ),
        (tar_file, "agent:3", "image.tar contains no image named 'agent:3'; its images are: agent:1 ("),
        (tar_file, "", "reference is empty; expected the name or the digest of an image"),
        (
            lambda folder: write_folder(folder, {"a/index.json": b"", "index.json": b""}),
            None,
            "contains neither an OCI",
        ),
        (lambda folder: write_folder(folder, {"x": b"text"}) / "x", None, "is not a tar file"),
        (lambda folder: write_folder(folder, {"x": tar_of(FILES)[:900]}) / "x", "1", "is truncated"),
    ],
)
def test_refuses_invalid_archives_at_synthesis(
    tmp_path: Path, make: Callable[[Path], Path], reference: str | None, said: str
) -> None:
    with pytest.raises(ValueError) as failure:  # noqa: PT011 - the whole text is compared
        ImageSource.archive(make(tmp_path), reference=reference)

    assert said in str(failure.value)
    assert str(failure.value).startswith("ImageSource.archive: ")


def test_says_how_to_pack_an_archive_with_images_one_folder_down(tmp_path: Path) -> None:
    packed = write_folder(tmp_path, {"x.tar": tar_of({f"out/{name}": content for name, content in FILES.items()})})

    with pytest.raises(ValueError, match=r"archive the content of that folder: tar -C out -cf image.tar"):
        ImageSource.archive(packed / "x.tar")


@pytest.mark.parametrize(("key", "reference", "said"), [("", None, "key is empty"), ("k", "", "reference is empty")])
def test_refuses_an_object_without_a_name(bucket: s3.IBucket, key: str, reference: str | None, said: str) -> None:
    with pytest.raises(ValueError, match=f"ImageSource.archive_object: {said}"):
        ImageSource.archive_object(bucket, key, reference=reference)


def test_the_same_archive_gives_the_same_template(tmp_path: Path) -> None:
    write_folder(tmp_path, FILES)
    rendered = []
    for _ in range(2):
        stack = Stack(App(), "Stack")
        publish(stack, ImageSource.archive(tmp_path, reference="agent:1"))
        rendered.append(json.dumps(Template.from_stack(stack).to_json()))

    assert rendered[0] == rendered[1]
