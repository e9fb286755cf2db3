# The trainer of that space. It stands on the image of table trials, which has NumPy and the trainer's half of the contract.
ARG TABLES_IMAGE=bananas/tables
FROM ${TABLES_IMAGE}
COPY branches.py training.py /opt/custom/
ENV PYTHONPATH=/opt/custom:/opt/bananas/src
ENTRYPOINT ["python3", "-m", "training"]
