"""What is there: registries, repositories, stacks and records, read with as few requests as possible."""
