# The SMTP submission server (docs/how-to/smtp-submission.md). Relay itself runs on Azure Functions and needs no container.
# It writes no files: run it with a read-only file system (docker run --read-only --cap-drop ALL).
ARG PYTHON=python:3.13.12-slim-bookworm@sha256:a58daefb915e1e03ad48f3ca4df8832065412c5c35cacb9d39f4229184de12b6

FROM ${PYTHON} AS packages
COPY hooks/requirements.txt /tmp/requirements.txt
RUN python -m venv /opt/relay && \
    /opt/relay/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes --requirement /tmp/requirements.txt

FROM ${PYTHON}
COPY --from=packages /opt/relay /opt/relay
COPY relay /app/relay
RUN /opt/relay/bin/python -m compileall -q /app
WORKDIR /app
# Ports above 1024 need no rights; publish them as 587 and 465.
ENV PATH=/opt/relay/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    RELAY_SMTP_LISTEN=0.0.0.0:2587 \
    RELAY_SMTP_LISTEN_TLS=0.0.0.0:2465 \
    RELAY_SMTP_HEALTH=0.0.0.0:8080
EXPOSE 2587 2465 8080
USER 10001:10001
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import urllib.request as http; http.urlopen('http://127.0.0.1:8080/', timeout=4)"]
ENTRYPOINT ["python", "-m", "relay.cli"]
CMD ["smtp"]
