"""
Catalogs: YAML files of repositories, digests and tags, which ``PublicImageCatalog`` declares.

::

    nodes       YAML text -> nodes with positions; the only module that knows PyYAML
    fields      nodes -> checked values, problems collected
    model       what a catalog says, whatever its format
    promoter    the format of the Kubernetes image promoter
    native      the format of our own
    reader      a file -> the model, or all of its problems
    capacity    nested stacks, and what fits into one
    construct   the model -> PublicImages

Nothing but ``capacity`` and ``construct`` needs the CDK.
"""
