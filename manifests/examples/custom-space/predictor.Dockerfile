# The predictor with a space of one's own: docker build -f predictor.Dockerfile --build-arg PREDICTOR_IMAGE=... manifests/examples/custom-space
ARG PREDICTOR_IMAGE=bananas/predictor
FROM ${PREDICTOR_IMAGE}
COPY branches.py /opt/custom/
ENV PYTHONPATH=/opt/custom:/opt/bananas/src
