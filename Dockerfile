# One image for all parts of docker-compose.yml: MLflow's server, Ray's nodes and the study runner. Ray wants the same
# Python and the same packages on all of its nodes.
FROM python:3.12.11-slim-bookworm

# "gpu" adds CUDA's libraries for JAX, some 4 GB; the host needs NVIDIA's driver and its container toolkit.
ARG ACCELERATOR=cpu

RUN useradd --create-home --uid 1000 hpsearch
WORKDIR /hpsearch
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY hpsearch hpsearch
RUN pip install --no-cache-dir --constraint constraints.txt '.[postgresql,ray]' \
    && if [ "$ACCELERATOR" = gpu ]; then pip install --no-cache-dir --constraint constraints.txt 'jax[cuda12]'; fi
# Volumes that are mounted here take over the owner and the mode of these folders. Whoever runs the container under
# another number (HPSEARCH_UID) can write there, too.
RUN install -d -o hpsearch -g hpsearch -m 1777 mlruns /artifacts /state
COPY studies studies

ENV XDG_STATE_HOME=/state HOME=/home/hpsearch RAY_USAGE_STATS_ENABLED=0
USER 1000:1000
CMD ["hpsearch", "--help"]
