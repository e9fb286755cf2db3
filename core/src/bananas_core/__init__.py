"""The contract between the programs of Bananas.

Everything that two programs must agree on lives here and nothing else: the API models from which the CRDs are generated
(`api`), the architectures of each search space with their identity (`spaces`), what a trial's container is given and must
give back (`contract`), and every name, label and reason (`constants`, `names`). pydantic is the only dependency; this
package opens no file, no socket and no cluster.
"""
