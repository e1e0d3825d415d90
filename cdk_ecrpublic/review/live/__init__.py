"""Read registries, repositories, deployed stacks and records, with few requests."""
