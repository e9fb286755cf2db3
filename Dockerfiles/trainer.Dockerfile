# The trainer: trains one architecture and reports its accuracy. It stands on torch.Dockerfile's image; build that first.
ARG TORCH_IMAGE=bananas/torch
FROM ${TORCH_IMAGE}

# See operator.Dockerfile.
ARG INSTALL="/opt/bananas/bin/pip install --no-cache-dir"
ENV PYTHONPATH=/opt/bananas/src PYTHONUNBUFFERED=1
COPY requirements/trainer.txt /opt/requirements/
RUN ${INSTALL} --require-hashes -r /opt/requirements/trainer.txt

COPY core/src trainer/src /opt/bananas/src/
RUN python3 -m compileall -q -j 0 /opt/bananas/src
ENV PYTHONDONTWRITEBYTECODE=1

USER 65532:65532
ENTRYPOINT ["python3", "-m", "bananas_trainer.pod"]
