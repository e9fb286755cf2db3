# PyTorch, common to predictor and trainer: one heavy layer, made anew only when requirements/torch.txt changes.
# For plain Docker: docker build -t bananas/torch -f Dockerfiles/torch.Dockerfile .
ARG BASE_IMAGE=python:3.11-slim
FROM ${BASE_IMAGE}

# See operator.Dockerfile. For a build of PyTorch without CUDA: lock another requirements/torch.txt from its own index.
ARG INSTALL="/opt/bananas/bin/pip install --no-cache-dir"
ENV PATH=/opt/bananas/bin:$PATH
# pip makes the bytecode, too: a container of a read-only root would do it at every start.
RUN --mount=type=bind,source=requirements/torch.txt,target=/tmp/requirements.txt \
    python3 -m venv /opt/bananas && ${INSTALL} --require-hashes -r /tmp/requirements.txt
