"""Media stacks with SFrame: pysframe.adapters.aiortc. Each is an extra of the package."""
