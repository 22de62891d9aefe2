# One image for all of the platform's services; compose.yaml says which command each runs.

# esptool-js for the page under /flash: pinned by integrity hash, taken from npm, not part of this repository.
FROM node:22.20.0-bookworm-slim AS flash
COPY api/qytet_api/flash/npm /flash
RUN cd /flash && npm ci --ignore-scripts --no-audit --no-fund

FROM python:3.11.13-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/qytet
# Dependencies first, by hash: they change less often than the program.
COPY requirements/run.txt /build/requirements/run.txt
RUN /opt/qytet/bin/pip install --require-hashes --only-binary :all: -r /build/requirements/run.txt
COPY pyproject.toml README.md LICENSE /build/
COPY contract /build/contract
COPY core /build/core
COPY ingest /build/ingest
COPY api /build/api
COPY simulators /build/simulators
# The package's build wants the node's code, too.
COPY firmware /build/firmware
COPY --from=flash /flash/node_modules /build/node_modules
RUN /opt/qytet/bin/pip install --no-deps /build && /opt/qytet/bin/python -m compileall -q /opt/qytet
# From elsewhere, so that the installed package is meant and not the sources.
RUN cd / && /opt/qytet/bin/python -m qytet_api.flash.fetch --modules /build/node_modules

FROM python:3.11.13-slim-bookworm
COPY --from=build /opt/qytet /opt/qytet
ENV PATH=/opt/qytet/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
WORKDIR /tmp
CMD ["qytet", "--help"]
