# Images of the service. Targets:
#   api         API, maintenance, migrations, the gradus command; no TensorFlow
#   worker      trains on the CPU
#   worker-gpu  trains on NVIDIA GPUs (CUDA from the Python packages; the host brings the driver)
#   worker-jax, worker-jax-gpu   the same with JAX in place of TensorFlow
#   mlflow      MLflow's tracking server
#
#   docker build --target api -t gradus-api .
#
# Where a private registry serves base images or packages:
#   --build-arg PYTHON_IMAGE=…   --build-arg PIP_INDEX_URL=… --build-arg UV_DEFAULT_INDEX=…
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

# --- what builds: pip fetches the pinned uv, uv the rest; every file is checked against its hash ---------------
FROM ${PYTHON_IMAGE} AS build
ARG PIP_INDEX_URL
ARG UV_DEFAULT_INDEX
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_NO_CACHE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
COPY requirements/uv.txt requirements/build.txt requirements/
RUN python -m venv /tools \
 && /tools/bin/python -m pip install --quiet --require-hashes --only-binary :all: -r requirements/uv.txt -r requirements/build.txt \
 && /tools/bin/uv venv --quiet --no-python-downloads --python "$(python -c 'import sys; print(sys.executable)')" /opt/gradus
COPY deploy/slim /tools/bin/slim

# The project itself, apart from its dependencies: a change of ours copies kilobytes into an image, not gigabytes.
FROM build AS app
COPY pyproject.toml README.md LICENSE ./
COPY gradus gradus
COPY examples examples
COPY experiments experiments
COPY service service
COPY workers workers
COPY migrations migrations
RUN /tools/bin/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir /wheels . \
 && /tools/bin/uv pip install --quiet --python /opt/gradus/bin/python --no-deps --target /opt/app /wheels/*.whl

# --- what runs: no compiler, no package manager of ours, an own user, nothing written but in /var/lib/gradus ----
FROM ${PYTHON_IMAGE} AS run
ENV PATH=/opt/app/bin:/opt/gradus/bin:$PATH PYTHONPATH=/opt/app PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    HOME=/var/lib/gradus \
    GRADUS_HOME=/var/lib/gradus GRADUS_LOG_JSON=true
RUN groupadd --gid 10001 gradus && useradd --uid 10001 --gid gradus --no-create-home --shell /usr/sbin/nologin gradus \
 && mkdir -p /var/lib/gradus && chown gradus:gradus /var/lib/gradus
WORKDIR /var/lib/gradus
STOPSIGNAL SIGTERM

# --- the images. Each is built right before it runs, the largest last: the classic builder builds whatever stands
# above its target, needed or not
FROM build AS build-mlflow
COPY requirements/mlflow.txt requirements/
RUN /tools/bin/uv pip sync --quiet --python /opt/gradus/bin/python --require-hashes requirements/mlflow.txt

FROM run AS mlflow
COPY --from=build-mlflow /opt/gradus /opt/gradus
COPY service/__init__.py /opt/app/service/
COPY service/embedded/__init__.py service/embedded/mlflow_server.py /opt/app/service/embedded/
USER 10001:10001
ENV MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false MLFLOW_DISABLE_TELEMETRY=true
EXPOSE 5642
HEALTHCHECK --interval=5s --timeout=4s --start-period=60s --retries=12 \
  CMD ["python", "-c", "import sys,http.client as h; c=h.HTTPConnection('127.0.0.1',5642,timeout=3); c.request('GET','/health'); sys.exit(c.getresponse().status!=200)"]
CMD ["python", "-m", "service.embedded.mlflow_server", "--host", "0.0.0.0", "--port", "5642"]

FROM build AS build-api
COPY requirements/api.txt requirements/
RUN /tools/bin/uv pip sync --quiet --python /opt/gradus/bin/python --require-hashes requirements/api.txt \
 && /tools/bin/slim /opt/gradus

FROM run AS api
COPY --from=build-api /opt/gradus /opt/gradus
COPY --from=app /opt/app /opt/app
USER 10001:10001
ENV GRADUS_API_HOST=0.0.0.0 GRADUS_API_PORT=8642
EXPOSE 8642
HEALTHCHECK --interval=5s --timeout=4s --start-period=30s --retries=6 \
  CMD ["python", "-c", "import sys,http.client as h; c=h.HTTPConnection('127.0.0.1',8642,timeout=3); c.request('GET','/livez'); sys.exit(c.getresponse().status!=200)"]
CMD ["python", "-m", "service.api"]

FROM build AS build-worker
COPY requirements/worker.txt requirements/
RUN /tools/bin/uv pip sync --quiet --python /opt/gradus/bin/python --require-hashes requirements/worker.txt \
 && /tools/bin/slim /opt/gradus

FROM run AS worker
COPY --from=build-worker /opt/gradus /opt/gradus
COPY --from=app /opt/app /opt/app
USER 10001:10001
CMD ["celery", "-A", "workers.app", "worker", "-P", "prefork", "-c", "1", "--without-mingle", "--without-gossip", "--loglevel", "INFO"]

FROM build AS build-worker-jax
COPY requirements/worker-jax.txt requirements/
RUN /tools/bin/uv pip sync --quiet --python /opt/gradus/bin/python --require-hashes requirements/worker-jax.txt \
 && /tools/bin/slim /opt/gradus

FROM run AS worker-jax
COPY --from=build-worker-jax /opt/gradus /opt/gradus
COPY --from=app /opt/app /opt/app
USER 10001:10001
ENV GRADUS_BACKEND=jax
CMD ["celery", "-A", "workers.app", "worker", "-P", "prefork", "-c", "1", "--without-mingle", "--without-gossip", "--loglevel", "INFO"]

FROM build AS build-worker-gpu
COPY requirements/worker-gpu.txt requirements/
RUN /tools/bin/uv pip sync --quiet --python /opt/gradus/bin/python --require-hashes requirements/worker-gpu.txt \
 && /tools/bin/slim /opt/gradus

FROM run AS worker-gpu
COPY --from=build-worker-gpu /opt/gradus /opt/gradus
COPY --from=app /opt/app /opt/app
USER 10001:10001
ENV GRADUS_DEVICE=gpu TF_FORCE_GPU_ALLOW_GROWTH=true
CMD ["celery", "-A", "workers.app", "worker", "-P", "prefork", "-c", "1", "--without-mingle", "--without-gossip", "--loglevel", "INFO"]

FROM build AS build-worker-jax-gpu
COPY requirements/worker-jax-gpu.txt requirements/
RUN /tools/bin/uv pip sync --quiet --python /opt/gradus/bin/python --require-hashes requirements/worker-jax-gpu.txt \
 && /tools/bin/slim /opt/gradus

FROM run AS worker-jax-gpu
COPY --from=build-worker-jax-gpu /opt/gradus /opt/gradus
COPY --from=app /opt/app /opt/app
USER 10001:10001
ENV GRADUS_DEVICE=gpu GRADUS_BACKEND=jax XLA_PYTHON_CLIENT_PREALLOCATE=false
CMD ["celery", "-A", "workers.app", "worker", "-P", "prefork", "-c", "1", "--without-mingle", "--without-gossip", "--loglevel", "INFO"]
