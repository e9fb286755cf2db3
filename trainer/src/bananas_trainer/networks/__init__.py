"""The networks that architectures stand for. Nothing here trains, reads files or knows a recipe."""
