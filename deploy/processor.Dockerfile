# The processor, for CPUs or for NVIDIA's GPUs:
#   docker build -f deploy/processor.Dockerfile -t headrace-processor:0.1.0 .
#   docker build -f deploy/processor.Dockerfile -t headrace-processor:0.1.0-cuda --build-arg TORCH=cu130 .
# MODELS are baked in: names of the catalogue, and `speakers`. With MODELS= there are none: mount them at /models.
# The base is pinned by version; pin the digest of your registry: --build-arg PYTHON_IMAGE=python:…@sha256:…
ARG PYTHON_IMAGE=python:3.11.14-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
# cpu, or the CUDA that the pinned torch is built for. Its libraries come with it; the host has the driver.
ARG TORCH=cpu
# Or processor,faster-whisper; or processor,deepfilternet.
ARG EXTRAS=processor
WORKDIR /source
RUN python -m venv /opt/headrace
# The packages first, in a layer that lasts until their versions change: our code comes later.
COPY pyproject.toml README.md LICENSE ./
COPY deploy/requirements-*.txt deploy/
# Exactly the pinned packages: openai-whisper asks for triton, which only GPUs use; a CUDA build of torch brings it.
RUN /opt/headrace/bin/pip install --no-cache-dir --index-url "https://download.pytorch.org/whl/${TORCH}" \
        "torch==$(sed -n 's/^torch==\([^ ]*\).*/\1/p' deploy/requirements-processor.txt)" \
    && IFS=, && for extra in ${EXTRAS}; do \
        /opt/headrace/bin/pip install --no-cache-dir --no-deps --require-hashes --only-binary :all: \
            --no-binary openai-whisper -r "deploy/requirements-${extra}.txt" || exit 1; done
COPY shared shared
COPY processor_service processor_service
COPY deploy deploy
RUN /opt/headrace/bin/pip install --no-cache-dir --no-deps .

# Also the image that fills a volume with models, for it has pip: docker build --target models, see docs/operations.md.
FROM build AS models
ARG MODELS="base speakers"
ARG ENGINE=openai-whisper
ENV PATH=/opt/headrace/bin:/usr/local/bin:/usr/bin:/bin \
    HEADRACE_TRANSCRIBER=${ENGINE} \
    HEADRACE_MODEL_DIR=/models
RUN mkdir /models \
    && for name in ${MODELS}; do python -m processor_service.models "${name}" || exit 1; done
CMD ["python", "-m", "processor_service.models", "base"]

FROM build AS stripped
RUN /opt/headrace/bin/pip uninstall --yes setuptools pip

FROM ${PYTHON_IMAGE}
RUN pip uninstall --yes --root-user-action ignore wheel setuptools pip \
    && groupadd --system --gid 10001 headrace \
    && useradd --system --uid 10001 --gid 10001 --no-create-home --home-dir /tmp headrace \
    && install --directory --owner 10001 --group 10001 /scratch
COPY --from=stripped /opt/headrace /opt/headrace
COPY --from=models /models /models
# Written to: /tmp (caches of libraries, some megabytes) and /scratch (decoded audio under way). Mount both, and the
# root read-only. The driver's libraries are mounted by NVIDIA's container toolkit, where there is one.
ENV PATH=/opt/headrace/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/tmp \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    HEADRACE_MODEL_DIR=/models \
    HEADRACE_SCRATCH_DIR=/scratch \
    HEADRACE_HEALTH_PORT=8001 \
    HEADRACE_LOG_FORMAT=json
WORKDIR /opt/headrace
USER 10001:10001
EXPOSE 8001
HEALTHCHECK --interval=10s --timeout=5s --start-period=180s --retries=3 \
    CMD ["python", "-m", "deploy.probe", "8001", "/health/live"]
CMD ["python", "-m", "processor_service"]
