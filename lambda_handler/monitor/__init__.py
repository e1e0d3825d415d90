"""The monitor: tags of deployed images that were moved by someone else."""
