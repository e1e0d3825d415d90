"""Settings for behavior of the service that is unknown or that varies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

from cdk_ecrpublic._assets.lambda_handler.oci import is_account_id, parse_registry_id

MIB = 1024 * 1024

DEFAULT_ACCOUNT = "123456789012"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """
    How the sandbox behaves. The defaults are the most likely behavior of the service.

    Attributes:
        alias: A custom alias of the default account's registry, e.g. ``acme``.
            Default: none; the registry has only the random-looking alias that
            it gets with its first repository.
        region: The Region of the API. In other Regions it refuses every operation.
        read_lag_tag_seconds: The age of manifests that are read by tag.
        read_lag_digest_seconds: The age of manifests that are read by digest.
        read_lag_describe_seconds: The age of DescribeImages and DescribeImageTags.
        removed_index_lag_seconds: How long BatchDeleteImage still refuses to delete
            an image after the index that lists it was deleted.
        get_manifest_digest_header: Whether the response to GET of a manifest has
            ``Docker-Content-Digest``.
        manifest_put_location: Whether the response to PUT of a manifest has
            ``Location`` and ``Docker-Content-Digest``.
        patch_status: The status of PATCH of an upload.
        mount: Whether a cross-repository mount starts an ordinary upload, or fails.
        no_tag_no_digest: Whether PutImage without tag and digest stores an untagged
            image, or fails.
        schema1: Whether Docker schema 1 manifests are refused, or stored.
        strict_part_size: Refuse layer parts over 10 MiB instead of 20 MiB.
        min_part_bytes: The minimum size of all layer parts except the last.
        basic_on_v2: The status for basic authentication on ``/v2/``.
        raw_bearer: Whether the token of GetAuthorizationToken is accepted as a
            bearer token, without the exchange at ``/token/``.
        translate_on_accept_mismatch: Convert a manifest that is read by tag if the
            client does not accept its media type.
        media_type_parameters: Whether a manifest with parameters in a media type
            (``application/vnd.dev.sigstore.bundle+json;version=0.2``) is stored, or refused.
        anonymous_pulls_per_second: Further pulls get 429. Default: no limit.
        authenticated_pulls_per_second: Further pulls of one account get 429; the
            quota of pulls to AWS resources. Default: no limit.
        put_images_per_second: Further PutImage calls are throttled. Default: no limit.
        initiate_layer_uploads_per_second: Further InitiateLayerUpload calls, and
            uploads started through the registry API, are throttled. Default: no limit.
        complete_layer_uploads_per_second: Further CompleteLayerUpload calls, and
            uploads completed through the registry API, are throttled. Default: no limit.
        batch_delete_images_per_second: Further BatchDeleteImage calls are throttled.
            Default: no limit.
        describe_images_per_second: Further DescribeImages calls are throttled.
            Default: no limit.
        push_age_seconds: How long ago an image that is pushed now says it was
            pushed, to try lifecycle rules of age.
        token_ttl_seconds: The lifetime of a bearer token.
        password_ttl_seconds: The lifetime of the password of GetAuthorizationToken.
        expired_style: The status for an expired bearer token.
        subject_must_exist: Refuse a referrer whose subject does not exist.
        images_per_repository: The quota.
        tags_per_image: The quota.
        layer_max_bytes: The quota. A larger layer cannot be completed.
    """

    alias: str = ""
    region: str = "us-east-1"
    read_lag_tag_seconds: float = 0.0
    read_lag_digest_seconds: float = 0.0
    read_lag_describe_seconds: float = 0.0
    removed_index_lag_seconds: float = 0.0
    get_manifest_digest_header: bool = False
    manifest_put_location: bool = False
    patch_status: Literal[201, 202] = 201
    mount: Literal["ignore", "error"] = "ignore"
    no_tag_no_digest: Literal["accept", "reject"] = "accept"
    schema1: Literal["reject", "accept"] = "reject"
    strict_part_size: bool = False
    min_part_bytes: int = 5 * MIB
    basic_on_v2: Literal[400, 401] = 400
    raw_bearer: Literal["accept", "reject"] = "accept"
    translate_on_accept_mismatch: bool = False
    media_type_parameters: Literal["accept", "reject"] = "accept"
    anonymous_pulls_per_second: float | None = None
    authenticated_pulls_per_second: float | None = None
    put_images_per_second: float | None = None
    initiate_layer_uploads_per_second: float | None = None
    complete_layer_uploads_per_second: float | None = None
    batch_delete_images_per_second: float | None = None
    describe_images_per_second: float | None = None
    push_age_seconds: float = 0.0
    token_ttl_seconds: float = 3600.0
    password_ttl_seconds: float = 12 * 3600.0
    expired_style: Literal[400, 403] = 400
    subject_must_exist: bool = False
    images_per_repository: int = 100_000
    tags_per_image: int = 1000
    layer_max_bytes: int = 10_000 * MIB

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for item in fields(self):
            value, kind = getattr(self, item.name), hints[item.name]
            if not _fits(value, kind):
                message = f"setting {item.name} is {value!r}; expected {item.type}"
                raise ValueError(message)
        if self.alias and (is_account_id(self.alias) or parse_registry_id(self.alias) != self.alias):
            message = f"setting alias is {self.alias!r}; expected the alias of a registry, e.g. 'acme'"
            raise ValueError(message)

    def limit_of(self, operation: str) -> float | None:
        """Return the limit of calls per second of an operation; None means no limit."""
        limits = {
            "PutImage": self.put_images_per_second,
            "InitiateLayerUpload": self.initiate_layer_uploads_per_second,
            "CompleteLayerUpload": self.complete_layer_uploads_per_second,
            "BatchDeleteImage": self.batch_delete_images_per_second,
            "DescribeImages": self.describe_images_per_second,
        }
        return limits.get(operation)

    @classmethod
    def from_json(cls, data: object) -> Settings:
        """
        Read settings. Settings that are not given have their defaults.

        Shape:
            ``{"read_lag_tag_seconds": 5, "expired_style": 403}``

        Raises:
            ValueError: A name is unknown, or a value is not allowed.
        """
        names = {item.name for item in fields(cls)}
        if not isinstance(data, Mapping) or not names.issuperset(data):
            message = f"settings are {data!r}; expected an object with names among: {', '.join(sorted(names))}"
            raise ValueError(message)
        return cls(**data)


def _fits(value: object, kind: Any) -> bool:  # noqa: ANN401 - an annotation at run time
    if get_origin(kind) is Literal:
        return any(value == choice and type(value) is type(choice) for choice in get_args(kind))
    if args := get_args(kind):
        return any(_fits(value, arg) for arg in args)
    if kind in (int, float):
        numbers = (int,) if kind is int else (int, float)
        return isinstance(value, numbers) and not isinstance(value, bool) and value >= 0
    return isinstance(value, kind)
