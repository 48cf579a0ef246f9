# The same steps as by hand and in CI: `make install`, then the command.
FROM python:3.11-slim

RUN apt-get update \
    && apt-get install -y --no-install-recommends make \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /app
COPY . .
RUN make install

ENV CICATRIX_HOME=/data PATH=/app/.venv/bin:$PATH
RUN useradd --create-home cicatrix && mkdir -p /data && chown cicatrix /data
VOLUME /data
USER cicatrix

ENTRYPOINT ["cicatrix"]
CMD ["doctor"]
