"""
The Lambda function behind ``Custom::ECRPublicImage``.

It keeps the tags of Amazon ECR Public repositories at the images that a
CloudFormation stack declares. Its only dependencies are part of the Lambda
Python runtime: the standard library, botocore and urllib3.

The packages, from the inside out; each may import only those above it:

``errors``, ``clock``, ``log``, ``retry``
    The exception tree, time as an argument, JSON log lines, retries.
``library_logs``
    Discards the log records of urllib3 and botocore.
``concurrency``
    Maps a function over items in several threads.
``on_demand``
    Imports what only some requests need.
``values``
    Property values, each with its path. Pure, like the next two.
``oci``
    Value types of the OCI specifications: digests, manifests, references.
``archive``
    Images in OCI layouts and ``docker save`` archives, read by byte ranges.
``publish``
    The use case: compare the declared state with the actual one, plan, apply.
    Knows ports, not adapters.
``sources``
    One module per kind of source: how it is declared and how it is resolved.
``rules``
    One module per rule that a release must satisfy.
``spec``
    The declaration, and the codec that reads it from CloudFormation
    properties. The construct library uses all pure packages: ``errors``,
    ``values``, ``oci``, ``archive``, ``sources``, ``rules`` and ``spec``.
``registry``, ``aws``, ``ecr_public``
    The adapters: the registry API of any registry; S3, Parameter Store and
    CloudFormation; a repository of ECR Public.
``cfn``
    CloudFormation's custom resource protocol. Knows nothing about images.
``resources``
    One module per custom resource type.
``entrypoint``
    Connects adapters and use cases; the only module that reads the environment.

Every import inside the package is relative: the construct library ships this
folder under another name, because an app may have its own ``lambda_handler``.
"""
