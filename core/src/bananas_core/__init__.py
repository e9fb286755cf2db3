"""The contract between the programs of Bananas.

Everything that two programs must agree on lives here and nothing else: the API models from which the CRDs are generated
(`api`), the architectures of each search space with their identity (`spaces`), what a trial's container is given and must
give back (`contract`, and `attempt`, which does the giving back), and every name, label and reason (`constants`, `names`).
pydantic is the only dependency. `attempt` is the one module that opens files and sockets; no other does, and none knows a
cluster.
"""
