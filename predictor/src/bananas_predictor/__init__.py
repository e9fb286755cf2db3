"""The BANANAS search (arXiv 1910.11858): it proposes architectures, and learns from what became of them.

The `bananas` command (`command`) runs it in this process on a benchmark table; the predictor pod (`pod`) runs it against
a cluster. Both go through one loop (`loop`) and differ only in where a proposal gets its accuracy (`evaluation`).
In Python: `bananas_predictor.search.Search`, with `ask` and `tell`.
"""
