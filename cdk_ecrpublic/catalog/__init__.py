"""
Catalogs: YAML files of repositories, digests and tags, which ``PublicImageCatalog`` declares.

::

    nodes       YAML -> nodes with positions; the only module that uses PyYAML
    fields      nodes -> checked values; collects problems
    selection   the part of a file that is selected with only=
    foreign     recognizes files of other tools
    model       the content of a catalog, independent of its format
    promoter    the format of the Kubernetes image promoter
    native      our own format
    reader      a file -> the model, or all of its problems
    capacity    nested stacks: how much fits into each, and which one an image is in
    construct   the model -> PublicImages

Only ``construct`` needs the CDK.
"""
