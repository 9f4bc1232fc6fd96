# What the scheduled pods run in: git and every package of the lock, and no code, which each run
# clones anew. Build with uv.lock committed, again whenever it changes:
#   docker build --file deploy/kubernetes/ops.Dockerfile --tag ops .
FROM python:3.13-slim-trixie AS packages

ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_NO_CACHE=1 UV_PYTHON_DOWNLOADS=never
RUN pip install --no-cache-dir uv==0.13.9
WORKDIR /app
COPY pyproject.toml uv.lock ./
RUN uv sync --frozen --no-install-project

FROM python:3.13-slim-trixie

# The version of git is that of the Debian release.
# hadolint ignore=DL3008
RUN apt-get update \
  && apt-get install --yes --no-install-recommends ca-certificates git \
  && rm -rf /var/lib/apt/lists/* \
  && useradd --uid 10001 --no-create-home pipeline \
  && install --directory --owner=pipeline --group=pipeline /checkout/project
# The code is that of the clone, where the process starts. Git asks nobody, and takes GIT_TOKEN
# where it is set.
ENV PATH=/app/.venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp \
  PYTHONPATH=/checkout/project/src:/checkout/project OMP_WAIT_POLICY=passive MPLBACKEND=agg \
  GIT_TERMINAL_PROMPT=0 GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=credential.helper \
  GIT_CONFIG_VALUE_0='!echo username=x-access-token; echo "password=$GIT_TOKEN"; :'
COPY --from=packages /app/.venv /app/.venv
COPY uv.lock /app/uv.lock
WORKDIR /checkout/project
USER 10001
CMD ["python", "--version"]
