import ml  # noqa: F401 - before torch, whose threads would otherwise spin while they wait
