# The ingest, and the migration, which is another command of the same image (python -m deploy.migrate):
#   docker build -f deploy/ingest.Dockerfile -t headrace-ingest:0.1.0 .
# The base is pinned by version; pin the digest of your registry: --build-arg PYTHON_IMAGE=python:…@sha256:…
ARG PYTHON_IMAGE=python:3.11.14-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
WORKDIR /source
RUN python -m venv /opt/headrace
# The packages first, in a layer that lasts until their versions change: our code comes later.
COPY pyproject.toml README.md LICENSE ./
COPY deploy/requirements-ingest.txt deploy/
RUN /opt/headrace/bin/pip install --no-cache-dir --no-deps --require-hashes --only-binary :all: -r deploy/requirements-ingest.txt
COPY shared shared
COPY ingest_service ingest_service
COPY deploy deploy
# The console and the page /docs: files that `make browser-modules` fetched before the build; else, if NPM_REGISTRY is the URL
# of an npm registry, files from there; else the image has no such pages.
ARG NPM_REGISTRY=
RUN npm_config_registry="${NPM_REGISTRY}" python -m deploy.browser_modules || true
RUN /opt/headrace/bin/pip install --no-cache-dir --no-deps . \
    && /opt/headrace/bin/pip uninstall --yes pip setuptools

FROM ${PYTHON_IMAGE}
RUN pip uninstall --yes --root-user-action ignore wheel setuptools pip \
    && groupadd --system --gid 10001 headrace \
    && useradd --system --uid 10001 --gid 10001 --no-create-home --home-dir /tmp headrace
COPY --from=build /opt/headrace /opt/headrace
# Written to: /dev/shm (counts of the metrics) and nothing else. Mount the root read-only.
ENV PATH=/opt/headrace/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/tmp \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HEADRACE_HOST=0.0.0.0 \
    HEADRACE_PORT=8000 \
    HEADRACE_AUTH=required \
    HEADRACE_LOG_FORMAT=json
WORKDIR /opt/headrace
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-m", "deploy.probe", "8000", "/health/live"]
CMD ["python", "-m", "ingest_service"]
