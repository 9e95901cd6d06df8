"""The company whose documents leave by mail, and its tax number."""
