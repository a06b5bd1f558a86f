# The command `headrace` alone, such as for `headrace watch`:
#   docker build -f deploy/command.Dockerfile -t headrace-command:0.1.0 .
# The base is pinned by version; pin the digest of your registry: --build-arg PYTHON_IMAGE=python:…@sha256:…
ARG PYTHON_IMAGE=python:3.11.14-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
WORKDIR /source
RUN python -m venv /opt/headrace
COPY pyproject.toml README.md LICENSE ./
COPY deploy/requirements-command.txt deploy/
RUN /opt/headrace/bin/pip install --no-cache-dir --no-deps --require-hashes --only-binary :all: -r deploy/requirements-command.txt
COPY shared shared
COPY deploy deploy
RUN /opt/headrace/bin/pip install --no-cache-dir --no-deps . \
    && /opt/headrace/bin/pip uninstall --yes pip setuptools

FROM ${PYTHON_IMAGE}
RUN pip uninstall --yes --root-user-action ignore wheel setuptools pip \
    && groupadd --system --gid 10001 headrace \
    && useradd --system --uid 10001 --gid 10001 --no-create-home --home-dir /tmp headrace
COPY --from=build /opt/headrace /opt/headrace
ENV PATH=/opt/headrace/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/tmp \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
WORKDIR /opt/headrace
USER 10001:10001
# Of `headrace watch --alive /tmp/alive`, with scans at least every minute.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["sh", "-c", "test -n \"$(find /tmp/alive -mmin -3)\""]
ENTRYPOINT ["headrace"]
