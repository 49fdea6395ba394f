# One image for every process: the verb decides what it does. Built from the checkout and the hashed lock file alone.
FROM python:3.13-slim-bookworm

RUN useradd --system --create-home --uid 10001 bongsu
WORKDIR /app
COPY requirements.lock ./
RUN python -m venv /opt/bongsu \
    && /opt/bongsu/bin/pip install --no-cache-dir --require-hashes --no-deps -r requirements.lock \
    && cp requirements.lock /opt/bongsu/.installed-requirements.lock
COPY LICENSE bongsu pyproject.toml ./
COPY schemas ./schemas
COPY topics ./topics
COPY capture ./capture
COPY streams ./streams
COPY sinks ./sinks
COPY ops ./ops
ENV BONGSU_VENV=/opt/bongsu PYTHONDONTWRITEBYTECODE=1
USER bongsu
ENTRYPOINT ["./bongsu"]
CMD ["--help"]
