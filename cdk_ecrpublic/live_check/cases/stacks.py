"""What CloudFormation sends to a custom resource: needs a stack, and a function that is deployed once for all cases."""

from __future__ import annotations

from cdk_ecrpublic.live_check.case import Group, case
from cdk_ecrpublic.live_check.images import Image, image
from cdk_ecrpublic.live_check.stacks import ProbeStack
from cdk_ecrpublic.live_check.target import Target
from cdk_ecrpublic.live_check.templates import IMAGE_TYPE

_TURN = ("resources.turn.Turn.is_undo", "resources.turn.Turn.is_rollback", "aws.stack.StackHistory.is_rolling_back")
_LATE = ("resources.turn.Turn.is_undo", "aws.stack.StackHistory.has_created_since", "cfn.lifecycle.respond")
_SEQUENTIAL = "the CloudFormation of the sandbox creates and updates one resource after the other"
_EXPRESS = {"Mode": "EXPRESS"}

SOON_SECONDS = 5
"""After which time a resource fails: the others must have got their requests before."""


@case(
    handler=("cfn.event.Event.parse", "cfn.event.Event.service_timeout", "resources.turn.Turn.physical_id"),
    group=Group.STACK,
)
def deploy_and_delete(target: Target) -> None:
    """Which requests does a resource get in its life: in place, replaced, with another ServiceTimeout only?"""
    stack = ProbeStack(target)
    stack.deploy("create", {"First": {"Value": "1"}})
    first = stack.events()[0]
    target.observe("the fields of a request", first["fields"])
    target.observe("the properties", first["properties"])
    target.observe("the query of the ResponseURL", first["url"])
    target.measure("versions in the runtime", first["versions"])
    target.measure("the time in the ResponseURL, its seconds, and when it was received", first["signed"])
    stack.deploy("update in place", {"First": {"Value": "2"}})
    stack.deploy("change the ServiceTimeout only", {"First": {"Value": "2", "ServiceTimeout": "90"}})
    stack.deploy("replace", {"First": {"Value": "3", "Id": "another", "ServiceTimeout": "90"}})
    stack.deploy("add, and remove", {"Second": {"Value": "1"}})
    stack.delete()
    target.measure("cold starts", sum(each["cold"] for each in stack.events()))


@case(handler=("cfn.lifecycle._physical_id", "cfn.response.Response"), group=Group.STACK)
def fail_to_create(target: Target) -> None:
    """Which requests follow a creation that failed, with which physical id?"""
    stack = ProbeStack(target)
    failing = {"Value": "1", "Fail": "Create", "FailedId": "a marker"}
    stack.deploy("create", {"First": {"Value": "1"}, "Second": failing})
    stack.delete()


@case(handler=_TURN, group=Group.STACK)
def fail_to_update(target: Target) -> None:
    """Which requests does an ordinary rollback send, and in which status of the stack?"""
    _fail_to_update(target)


@case(
    handler=("resources.turn.Turn.reverses_failed_update", "aws.stack.StackHistory.has_update_failed", *_TURN),
    group=Group.STACK,
)
def fail_to_update_without_rollback(target: Target) -> None:
    """Which requests and events follow an update that failed with rollback disabled, and a later rollback?"""
    stack = _fail_to_update(target, DisableRollback=True)
    target.measure("the statuses in the events", stack.statuses())
    stack.roll_back()


@case(
    handler=("resources.turn.Turn.reverses_failed_update", *_TURN),
    group=Group.STACK,
)
def fail_to_update_in_express_mode(target: Target) -> None:
    """Which requests follow an update that failed in express mode, and a later rollback?"""
    stack = _fail_to_update(target, DeploymentConfig=_EXPRESS)
    stack.roll_back()


@case(handler=("resources.turn.Turn.lost_replacement", *_TURN), group=Group.STACK)
def replace_and_fail(target: Target) -> None:
    """Which requests follow a replacement if another resource fails, with rollback and without?"""
    good = {"First": {"Value": "1"}, "Second": {"Value": "1"}}
    bad = {"First": {"Value": "2", "Id": "another"}, "Second": {"Value": "2", "Fail": "Update"}}
    stack = ProbeStack(target)
    stack.deploy("create", good)
    stack.deploy("replace and fail", bad)
    stack.deploy("replace and fail without rollback", bad, DisableRollback=True)
    stack.deploy("deploy what was there", good)


@case(handler=_TURN, group=Group.STACK)
def replace_in_express_mode(target: Target) -> None:
    """Is a replacement possible in express mode, and when is the old resource deleted?"""
    stack = ProbeStack(target)
    stack.deploy("create", {"First": {"Value": "1"}}, DeploymentConfig=_EXPRESS)
    stack.deploy("replace", {"First": {"Value": "2", "Id": "another"}}, DeploymentConfig=_EXPRESS)


@case(handler=_LATE, group=Group.STACK, not_comparable=_SEQUENTIAL)
def fail_while_another_is_created(target: Target) -> None:
    """Which requests does a resource get whose creation still runs when another one fails, also without rollback?"""
    for note, options in (("with rollback", {}), ("without rollback", {"DisableRollback": True})):
        stack = ProbeStack(target, f"-{note.partition(' ')[0]}")
        failing = {"Value": "1", "Fail": "Create", "Beside": "yes", **stack.late("Create", SOON_SECONDS)}
        stack.deploy(note, {"First": {"Value": "1", **stack.late("Create")}, "Second": failing}, **options)
        stack.await_late_responses(note)
        stack.delete(f"delete {note}")


@case(handler=_LATE, group=Group.STACK, not_comparable=_SEQUENTIAL)
def fail_while_others_are_updated(target: Target) -> None:
    """Which requests do resources get whose update and creation still run when another update fails?"""
    stack = ProbeStack(target)
    stack.deploy("create", {"First": {"Value": "1"}, "Second": {"Value": "1"}})
    failing = {"Value": "2", "Fail": "Update", "Beside": "yes", **stack.late("Update", SOON_SECONDS)}
    changed = {
        "First": {"Value": "2", **stack.late("Update")},
        "Second": failing,
        "Third": {"Value": "2", "Beside": "yes", **stack.late("Create")},
    }
    stack.deploy("update", changed)
    stack.await_late_responses("update")
    stack.delete()


@case(handler=("cfn.lifecycle.respond", "publish.remove.Remover"), group=Group.STACK)
def fail_to_delete(target: Target) -> None:
    """How often is a deletion repeated that fails, in an update and with the stack?"""
    stack = ProbeStack(target)
    failing = {"Value": "1", "Fail": "Delete"}
    stack.deploy("create", {"First": {"Value": "1"}, "Second": failing})
    stack.deploy("remove", {"First": failing})
    stack.delete()


@case(handler=("cfn.response.Response.encode",), group=Group.STACK)
def respond_with_many_bytes(target: Target) -> None:
    """Is a response of 4,096 bytes accepted, and one of 4,097 refused?"""
    for size in ("4096", "4097"):
        stack = ProbeStack(target, f"-{size}")
        stack.deploy(f"a response of {size} bytes", {"First": {"Value": size, "Bytes": size}})
        stack.delete(f"delete after {size} bytes")


@case(handler=("entrypoint.serve", "resources.public_image.PublicImageResource"), group=Group.STACK)
def deploy_the_function(target: Target) -> None:
    """Does the function of this project create, retag, roll back and remove an image?"""
    one, other = image("one"), image("other")
    target.put(one, "someone-else")
    target.put(other)
    stack = ProbeStack(target)
    stack.deploy("create", {"Image": _declared(target, one, "a", "b")})
    target.api("DescribeImageTags")
    stack.deploy("retag", {"Image": _declared(target, other, "a", "b")})
    target.api("DescribeImageTags")
    failing = {"Value": "1", "Fail": "Create"}
    stack.deploy("fail", {"Image": _declared(target, one, "a", "c"), "Failing": failing})
    target.api("DescribeImageTags")
    stack.delete()
    target.list_images()


@case(
    handler=("registry.logins.Logins", "publish.execute.execute", "resources.public_image.PublicImageResource"),
    group=Group.STACK,
)
def copy_from_private_ecr(target: Target) -> None:
    """Does the function of this project copy an image from private ECR, byte for byte, and remove it?"""
    one = image("one")
    reference = target.push_to_private_ecr(one)
    stack = ProbeStack(target)
    source = {"Image": {"Reference": reference}}
    stack.deploy("create", {"Image": {**_declared(target, one, "a"), "Source": source}})
    target.read("a")
    target.list_images()
    stack.delete()
    target.list_images()


def _declared(target: Target, source: Image, *tags: str) -> dict[str, object]:
    return {
        "Type": IMAGE_TYPE,
        "RepositoryName": target.repository(),
        "ImageTags": list(tags),
        "Source": {"Digest": source.digest},
        "OnTagRemoved": "Untag",
        "OnDelete": "Delete",
    }


def _fail_to_update(target: Target, **options: object) -> ProbeStack:
    stack = ProbeStack(target)
    stack.deploy("create", {"First": {"Value": "1"}, "Second": {"Value": "1"}}, **options)
    failing = {"Value": "2", "Fail": "Update"}
    stack.deploy("update", {"First": {"Value": "2"}, "Second": failing, "Third": {"Value": "2"}}, **options)
    return stack
