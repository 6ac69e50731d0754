# One image for all Sonoscope processes; docker-compose.yml lists them.
#
#   docker build -t sonoscope .
#
# PyTorch's default wheels include CUDA (about 5 GB). For machines without an NVIDIA GPU, pass the
# address that the start page of PyTorch shows after `--index-url` for "CPU":
#
#   docker build -t sonoscope --build-arg TORCH_INDEX=… .

FROM node:24-slim AS pages
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev
COPY webapp/vendor.mjs webapp/
RUN npm run vendor

FROM python:3.11-slim AS packages
ARG TORCH_INDEX=""
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv --without-pip /opt/venv
WORKDIR /build
COPY requirements.txt constraints.txt requirements.lock ./
# Other builds of PyTorch are other files, and requirements.lock has no hashes for them.
RUN if [ -n "$TORCH_INDEX" ]; then \
      pip --python /opt/venv/bin/python install -c constraints.txt \
        --index-url "$TORCH_INDEX" torch torchaudio \
   && pip --python /opt/venv/bin/python install -c constraints.txt -r requirements.txt; \
    else \
      pip --python /opt/venv/bin/python install --require-hashes -r requirements.lock; \
    fi

FROM python:3.11-slim
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin sonoscope \
 && install -d -o sonoscope -g sonoscope -m 700 /data
COPY --from=packages /opt/venv /opt/venv
WORKDIR /app
COPY manage.py LICENSE ./
COPY webapp webapp
COPY classifier classifier
COPY tasks tasks
COPY ml ml
COPY training training
COPY --from=pages /build/webapp/static/vendor webapp/static/vendor
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    SONOSCOPE_DATA=/data \
    HOST=0.0.0.0 \
    HOME=/tmp
USER sonoscope
VOLUME /data
EXPOSE 8000
CMD ["python", "-m", "gunicorn", "webapp.wsgi", "--bind", "0.0.0.0:8000", \
     "--worker-class", "gthread", "--workers", "2", "--threads", "8", "--timeout", "120", \
     "--no-control-socket"]
