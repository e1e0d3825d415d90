"""
Catalogs: YAML files of repositories, digests and tags, which ``PublicImageCatalog`` declares.

::

    nodes       YAML text -> nodes with positions; the only module that knows PyYAML
    fields      nodes -> checked values, problems collected
    selection   which part of a file is taken
    foreign     files of other tools, recognised
    model       what a catalog says, whatever its format
    promoter    the format of the Kubernetes image promoter
    native      the format of our own
    reader      a file -> the model, or all of its problems
    capacity    nested stacks: what fits into one, and which one an image is in
    construct   the model -> PublicImages

Nothing but ``capacity`` and ``construct`` needs the CDK.
"""
