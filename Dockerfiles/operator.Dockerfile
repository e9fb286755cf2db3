# The operator. Built from the root of the repository: docker build -f Dockerfiles/operator.Dockerfile .
ARG BASE_IMAGE=python:3.11-slim
FROM ${BASE_IMAGE}

# How packages are installed; `devcluster images` puts a faster installer in, which takes what this machine has already downloaded.
ARG INSTALL="/opt/bananas/bin/pip install --no-cache-dir"
ENV PATH=/opt/bananas/bin:$PATH PYTHONPATH=/opt/bananas/src PYTHONUNBUFFERED=1
COPY requirements/operator.txt /opt/requirements/
RUN python3 -m venv /opt/bananas && ${INSTALL} --require-hashes -r /opt/requirements/operator.txt

# Sources last: after a change of ours only these small layers are made anew.
COPY core/src operator/src /opt/bananas/src/
# The root filesystem is read-only where this runs: bytecode is made here or at every start.
RUN python3 -m compileall -q -j 0 /opt/bananas/src
ENV PYTHONDONTWRITEBYTECODE=1

USER 65532:65532
ENTRYPOINT ["python3", "-m", "bananas_operator"]
