"""`make chaos`: searches on a real cluster in which something breaks every few seconds, and a judge that knows none of us."""
