# Worker and command line.
#
#   docker build -t oppertune-streams .
#   docker run --rm -p 8080:8080 -e OPPERTUNE_BOOTSTRAP=kafka:9092 oppertune-streams
#
# Any other command takes the worker's place: docker run --rm -e OPPERTUNE_BOOTSTRAP=... oppertune-streams tuner list

ARG PYTHON=3.11

FROM python:${PYTHON}-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /source
COPY constraints.txt .
RUN pip install --constraint constraints.txt "setuptools>=77" wheel
COPY . .
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /wheels .
# By its file: a package of this name in an index, if there is one, is not ours.
ARG EXTRAS=worker,cli
RUN python -m venv /opt/oppertune \
    && /opt/oppertune/bin/pip install --only-binary :all: --constraint constraints.txt "$(ls /wheels/*.whl)[${EXTRAS}]"

FROM python:${PYTHON}-slim
COPY --from=build /opt/oppertune /opt/oppertune
ENV PATH=/opt/oppertune/bin:$PATH PYTHONUNBUFFERED=1 HOME=/tmp
USER 10001:10001
EXPOSE 8080
# Alive, not ready: it must not be ended because the broker is away.
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/livez', timeout=4)"]
ENTRYPOINT ["oppertune"]
CMD ["worker", "--health-port", "8080"]
