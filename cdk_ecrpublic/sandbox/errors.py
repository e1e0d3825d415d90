"""
The errors of the service, with their messages.

One table: each row has the code and message of the control-plane API, and the
status and code of the registry API. A row creates an exception from the arguments
of its message::

    raise errors.REPOSITORY_NOT_FOUND.error(name="acme/agent", registry="acme")

``docs/explanation/sandbox-fidelity.md`` lists the evidence for the messages. A comment
says which messages are not publicly known; clients should rely on codes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

BAD_REQUEST = HTTPStatus.BAD_REQUEST


class ServiceError(Exception):
    """
    A request was refused, as the service would refuse it.

    Attributes:
        kind: The row of the table, with codes and statuses of both APIs.
        message: The message.
        members: Further members of the control-plane API's error, such as ``uploadId``.
    """

    def __init__(self, kind: Refusal, message: str, members: Mapping[str, object]) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.members = members


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """
    One kind of error.

    Attributes:
        code: The ``__type`` of the control-plane API.
        text: The message, a format string.
        status: The HTTP status of the control-plane API.
        oci: Status and code of the registry API.
        members: Names of arguments that are also members of the control-plane API's error.
    """

    code: str
    text: str
    status: int = BAD_REQUEST
    oci: tuple[int, str] = (BAD_REQUEST, "UNKNOWN")
    members: tuple[str, ...] = field(default=())

    def error(self, **values: object) -> ServiceError:
        """Create the exception."""
        return ServiceError(self, self.text.format(**values), {name: values[name] for name in self.members})


# Malformed requests.
UNKNOWN_OPERATION = Refusal(code="UnknownOperationException", text="{operation} is not an operation of ECR Public")
SERIALIZATION = Refusal(code="SerializationException", text="{reason}")
NOT_SIGNED = Refusal(code="MissingAuthenticationTokenException", text="Missing Authentication Token")
WRONG_SCOPE = Refusal(
    code="InvalidSignatureException", text="Credential should be scoped to correct service: 'ecr-public'."
)
UNSUPPORTED_REGION = Refusal(
    code="UnsupportedCommandException", text="{operation} command is only supported in {region}."
)
INVALID_PARAMETER = Refusal(
    code="InvalidParameterException",
    text="Invalid parameter at '{member}' failed to satisfy constraint: '{constraint}'",
    oci=(HTTPStatus.METHOD_NOT_ALLOWED, "UNSUPPORTED"),
)
ACCESS_DENIED = Refusal(
    code="AccessDeniedException",
    text=(
        "User: arn:aws:iam::{account}:root is not authorized to perform: ecr-public:{operation} on resource: "
        "{resource} because no resource-based policy allows the ecr-public:{operation} action"
    ),
    oci=(HTTPStatus.FORBIDDEN, "DENIED"),
)
NOT_ALLOWED = Refusal(code="AccessDeniedException", text="{reason}", oci=(HTTPStatus.FORBIDDEN, "DENIED"))
THROTTLED = Refusal(
    code="ThrottlingException", text="Rate exceeded", oci=(HTTPStatus.TOO_MANY_REQUESTS, "TOOMANYREQUESTS")
)

# Registries and repositories. The messages of REGISTRY_NOT_FOUND and of catalog data are not known.
REGISTRY_NOT_FOUND = Refusal(
    code="RegistryNotFoundException",
    text="The registry with id '{registry}' does not exist",
    oci=(HTTPStatus.NOT_FOUND, "NAME_UNKNOWN"),
)
REPOSITORY_NOT_FOUND = Refusal(
    code="RepositoryNotFoundException",
    text="The repository with name '{name}' does not exist in the registry with id '{registry}'",
    oci=(HTTPStatus.NOT_FOUND, "NAME_UNKNOWN"),
)
REPOSITORY_EXISTS = Refusal(
    code="RepositoryAlreadyExistsException",
    text="The repository with name '{name}' already exists in the registry with id '{registry}'",
)
REPOSITORY_NOT_EMPTY = Refusal(
    code="RepositoryNotEmptyException",
    text=(
        "The repository with name '{name}' in registry with id '{registry}' cannot be deleted because it still "
        "contains images"
    ),
)
POLICY_NOT_FOUND = Refusal(
    code="RepositoryPolicyNotFoundException",
    text=(
        "Repository policy does not exist for the repository with name '{name}' in the registry with id '{registry}'"
    ),
)
CATALOG_DATA_NOT_FOUND = Refusal(
    code="RepositoryCatalogDataNotFoundException",
    text="Catalog data does not exist for the repository with name '{name}' in the registry with id '{registry}'",
)
TOO_MANY_TAGS = Refusal(code="TooManyTagsException", text="A resource has at most {limit} tags")
INVALID_TAG = Refusal(code="InvalidTagParameterException", text="{reason}")

# Images. The message of DIGEST_MISMATCH is not known.
IMAGE_NOT_FOUND = Refusal(
    code="ImageNotFoundException",
    text=(
        "The image with imageId {{imageDigest:'{digest}', imageTag:'{tag}'}} does not exist within the repository "
        "with name '{name}' in the registry with id '{registry}'"
    ),
    oci=(HTTPStatus.NOT_FOUND, "MANIFEST_UNKNOWN"),
)
IMAGE_EXISTS = Refusal(
    code="ImageAlreadyExistsException",
    text=(
        "Image with digest '{digest}' and tag '{tag}' already exists in the repository with name '{name}' in registry "
        "with id '{registry}'"
    ),
)
DIGEST_MISMATCH = Refusal(
    code="ImageDigestDoesNotMatchException",
    text="The specified image digest doesn't match the digest that Amazon ECR calculated for the image.",
    oci=(BAD_REQUEST, "DIGEST_INVALID"),
)
LAYERS_NOT_FOUND = Refusal(
    code="LayersNotFoundException",
    text=(
        "Layers with digests '[{digests}]' required for pushing image into repository with name '{name}' in the "
        "registry with id '{registry}' do not exist"
    ),
    oci=(BAD_REQUEST, "BLOB_UPLOAD_UNKNOWN"),
)
CHILDREN_NOT_FOUND = Refusal(
    code="ReferencedImagesNotFoundException",
    text=(
        "Images with digests '[{digests}]' required for pushing image into repository with name '{name}' in the "
        "registry with id '{registry}' do not exist"
    ),
    oci=(BAD_REQUEST, "MANIFEST_BLOB_UNKNOWN"),
)
TAG_LIMIT = Refusal(
    code="LimitExceededException",
    text=(
        "Adding tag '{tag}' to an image in the repository with name '{name}' in registry with id '{registry}' exceeds "
        "the maximum allowed number of tags per image which is '{limit}'"
    ),
    oci=(HTTPStatus.FORBIDDEN, "DENIED"),
)
IMAGE_LIMIT = Refusal(
    code="LimitExceededException",
    text=(
        "The repository with name '{name}' in registry with id '{registry}' already has the maximum allowed number of "
        "images which is '{limit}'"
    ),
    oci=(HTTPStatus.FORBIDDEN, "DENIED"),
)

# Layers. The message of LAYER_LIMIT is not known.
UPLOAD_NOT_FOUND = Refusal(
    code="UploadNotFoundException",
    text=(
        "The upload with id '{upload}' in the repository with name '{name}' in registry with id '{registry}' "
        "does not exist"
    ),
    oci=(HTTPStatus.NOT_FOUND, "BLOB_UPLOAD_UNKNOWN"),
)
EMPTY_UPLOAD = Refusal(
    code="EmptyUploadException",
    text=(
        "The upload with id '{upload}' in the repository with name '{name}' in registry with id '{registry}' cannot be "
        "completed because it does not have any parts"
    ),
    oci=(BAD_REQUEST, "BLOB_UPLOAD_INVALID"),
)
INVALID_PART = Refusal(
    code="InvalidLayerPartException",
    text="{reason}",
    oci=(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "BLOB_UPLOAD_INVALID"),
    members=("registryId", "repositoryName", "uploadId", "lastValidByteReceived"),
)
PART_TOO_SMALL = Refusal(
    code="LayerPartTooSmallException",
    text="All layer parts except the last part should be at least 5MB",
    oci=(BAD_REQUEST, "BLOB_UPLOAD_INVALID"),
)
PART_LIMIT = Refusal(
    code="LimitExceededException",
    text="The upload with id '{upload}' already has the maximum allowed number of layer parts which is '{limit}'",
    oci=(HTTPStatus.FORBIDDEN, "DENIED"),
)
LAYER_LIMIT = Refusal(
    code="LimitExceededException",
    text="The upload with id '{upload}' has more than the maximum allowed size of a layer which is '{limit}' bytes",
    oci=(HTTPStatus.FORBIDDEN, "DENIED"),
)
INVALID_LAYER = Refusal(
    code="InvalidLayerException",
    text="None of the provided layer digests match the calculated layer digest",
    oci=(BAD_REQUEST, "BLOB_UPLOAD_INVALID"),
)
LAYER_EXISTS = Refusal(
    code="LayerAlreadyExistsException",
    text=(
        "Layer with digest '{digest}' already exists in the repository with name '{name}' in registry with id "
        "'{registry}'"
    ),
)

# The registry API only.
NOT_AUTHORIZED = Refusal(code="NotAuthorized", text="Not Authorized", oci=(HTTPStatus.UNAUTHORIZED, "DENIED"))
PUSH_DENIED = Refusal(code="NotAuthorized", text="Not Authorized", oci=(HTTPStatus.FORBIDDEN, "DENIED"))
INVALID_TOKEN = Refusal(code="InvalidToken", text="Your Authorization Token is invalid.", oci=(BAD_REQUEST, "DENIED"))
EXPIRED_TOKEN = Refusal(
    code="ExpiredToken",
    text="Your authorization token has expired. Reauthenticate and try again.",
    oci=(HTTPStatus.FORBIDDEN, "DENIED"),
)
MANIFEST_UNKNOWN = Refusal(
    code="ManifestUnknown", text="Requested image not found", oci=(HTTPStatus.NOT_FOUND, "MANIFEST_UNKNOWN")
)
BLOB_UNKNOWN = Refusal(code="BlobUnknown", text="Requested layer not found", oci=(HTTPStatus.NOT_FOUND, "BLOB_UNKNOWN"))
TAG_INVALID = Refusal(
    code="TagInvalid",
    text="Invalid parameter at 'imageTag' failed to satisfy constraint: 'must satisfy regular expression '{pattern}''",
    oci=(BAD_REQUEST, "TAG_INVALID"),
)
UNSUPPORTED = Refusal(code="Unsupported", text="{reason}", oci=(HTTPStatus.METHOD_NOT_ALLOWED, "UNSUPPORTED"))
NO_ROUTE = Refusal(code="NotFound", text="404 page not found", oci=(HTTPStatus.NOT_FOUND, "NOT_FOUND"))
MOUNT_REFUSED = Refusal(
    code="MountRefused", text="blobs cannot be mounted", oci=(HTTPStatus.METHOD_NOT_ALLOWED, "UNSUPPORTED")
)
