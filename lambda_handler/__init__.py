"""
The Lambda function behind ``Custom::ECRPublicImage``.

It keeps tags of Amazon ECR Public repositories where a CloudFormation stack
declares them. It needs nothing but what the Lambda Python runtime ships: the
standard library, botocore and urllib3.

The packages, from the inside out; each may import only those above it:

``errors``, ``clock``, ``log``, ``retry``
    The exception tree, time as an argument, JSON log lines, patience.
``library_logs``
    Keeps what urllib3 and botocore would log out of every log.
``values``
    Values of properties, each with its path. Pure, as the next two are.
``oci``
    Value types of the OCI specifications: digests, manifests, references.
``archive``
    Images in OCI layouts and ``docker save``, read by ranges.
``publish``
    The use case: compare what is declared with what is there, plan, apply.
    Knows ports, not adapters.
``sources``
    One module per kind of source: how it is declared, how it is resolved.
``rules``
    One module per rule that a release has to keep.
``spec``
    What a user declares, and the codec that reads it from CloudFormation
    properties. The construct library shares all that is pure: ``errors``,
    ``values``, ``oci``, ``archive``, ``sources``, ``rules`` and ``spec``.
``registry``, ``aws``, ``ecr_public``
    The adapters: any registry's HTTP face; S3, parameters and the stack; a
    repository of ECR Public.
``cfn``
    CloudFormation's protocol. Knows nothing about images.
``resources``
    One module per custom resource type.
``entrypoint``
    Where adapters meet use cases; the only module that reads the environment.

Every import inside the package is relative: the construct library ships this
folder under another name, because an app may have a ``lambda_handler`` of its
own.
"""
