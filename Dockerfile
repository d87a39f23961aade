# syntax=docker/dockerfile:1
# Rollcall in a container: data in the volume /data, the portal on port 8000, never as root.

# `make images` puts the digest behind the tag, and renews it.
ARG PYTHON_IMAGE=python:3.13-slim
FROM ${PYTHON_IMAGE} AS build
WORKDIR /app
RUN python -m venv /app/.venv
COPY requirements/ requirements/
RUN .venv/bin/pip install --no-cache-dir --require-hashes --no-deps \
    -r requirements/scale.lock -r requirements/build.lock
COPY package.json package-lock.json .npmrc purgecss.config.cjs ./
COPY tools/assets.py tools/assets.py
COPY static/ static/
COPY templates/ templates/
COPY portal/ portal/
COPY simulator/ simulator/
# npm comes for this one step, into the image's own Python, which is not kept.
RUN python tools/assets.py && rm -rf node_modules
COPY pyproject.toml README.md LICENSE wsgi.py ./
COPY migrations/ migrations/
COPY docs/guide/ docs/guide/
COPY docs/screenshots/ docs/screenshots/
RUN .venv/bin/pip install --no-cache-dir --no-deps --no-index --no-build-isolation --editable .

FROM ${PYTHON_IMAGE}
RUN useradd --system --uid 10001 --create-home rollcall && install -d -o rollcall -g rollcall -m 0700 /data
WORKDIR /app
COPY --from=build /app /app
USER rollcall
ENV PATH=/app/.venv/bin:$PATH PYTHONUNBUFFERED=1 ROLLCALL_DATA_DIR=/data
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]
CMD ["rollcall", "serve", "--host", "0.0.0.0", "--port", "8000"]
