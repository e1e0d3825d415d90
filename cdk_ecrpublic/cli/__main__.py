"""``python -m cdk_ecrpublic.cli``."""

from . import main

main()
