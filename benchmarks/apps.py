"""
Synthesize apps of many images in a separate process, because aws-cdk-lib starts Node and keeps objects.

``python -m benchmarks.apps PublicImage 200 FOLDER`` writes a cloud assembly to
FOLDER, and prints ``{"seconds": 1.25, "templateBytes": 40210}``: from the first
construct to the finished template, without the import of aws-cdk-lib.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from aws_cdk import App, Environment, Stack
from aws_cdk import custom_resources as cr

from cdk_ecrpublic import ImageSource, PublicImage, PublicRepository

from .app_names import repository_of, tags_of

STACK_IMAGES = 40
"""40 images are 400 resources with AwsCustomResource; CloudFormation allows 500 in a stack."""

ENVIRONMENT = Environment(account="123456789012", region="us-east-1")


def public_image(stack: Stack, image: int, digest: str) -> None:
    """Declare an image with this library."""
    PublicImage(
        stack,
        f"Image{image}",
        repository=PublicRepository.from_repository_name(stack, f"Repository{image}", repository_of(image)),
        source=ImageSource.digest(digest),
        tags=tags_of(image),
    )


def custom_resources(stack: Stack, image: int, digest: str) -> None:
    """Declare a PutImage call for each tag of an image with aws-cdk-lib alone."""
    name = repository_of(image)
    for tag in tags_of(image):
        call = cr.AwsSdkCall(
            service="ecr-public",
            action="putImage",
            region="us-east-1",
            physical_resource_id=cr.PhysicalResourceId.of(f"{name}:{tag}"),
            output_paths=["image.imageId.imageDigest"],
            parameters={"repositoryName": name, "imageTag": tag, "imageDigest": digest, "imageManifest": "{}"},
        )
        arn = f"arn:aws:ecr-public::123456789012:repository/{name}"
        cr.AwsCustomResource(
            stack,
            f"Image{image}Tag{tag}",
            on_update=call,
            install_latest_aws_sdk=False,
            policy=cr.AwsCustomResourcePolicy.from_sdk_calls(resources=[arn]),
        )


KINDS = {"PublicImage": public_image, "AwsCustomResource": custom_resources}


def synthesize(kind: str, images: int, folder: str, digest: str) -> dict[str, float]:
    """Synthesize an app with this number of *images*, 40 in each stack."""
    started = time.perf_counter()
    app = App(outdir=folder)
    for first in range(0, images, STACK_IMAGES):
        stack = Stack(app, f"Stack{first}", env=ENVIRONMENT)
        for image in range(first, min(first + STACK_IMAGES, images)):
            KINDS[kind](stack, image, digest)
    assembly = app.synth()
    seconds = time.perf_counter() - started
    size = sum(Path(stack.template_full_path).stat().st_size for stack in assembly.stacks)
    return {"seconds": seconds, "templateBytes": size}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(synthesize(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4])))
