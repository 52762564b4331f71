# Both programs, each an image of its own:
#   docker build --target collector -t mect-collector .
#   docker build --target exporter  -t mect-exporter .

FROM rust:1.95-slim-bookworm AS build
# A C compiler for TLS and zstd.
RUN apt-get update -q && apt-get install -q -y --no-install-recommends gcc libc6-dev make && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --release --locked --package mect-collector && \
    cargo build --profile release-small --locked --package mect-exporter && \
    install -D target/release/mect-collector target/release-small/mect-exporter -t /out

FROM debian:bookworm-slim AS base
# Certificates for encrypted targets, databases and Redis.
RUN apt-get update -q && apt-get install -q -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/*
RUN useradd --system --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin mect

FROM base AS exporter
COPY --from=build /out/mect-exporter /usr/local/bin/
USER mect
EXPOSE 9776
HEALTHCHECK --interval=30s --timeout=5s CMD ["mect-exporter", "healthcheck"]
ENTRYPOINT ["mect-exporter"]

# The last one is what `docker build` makes without --target.
FROM base AS collector
COPY --from=build /out/mect-collector /usr/local/bin/
COPY config/docker/collector.toml /etc/mect/collector.toml
RUN install -d -o mect -g mect -m 0700 /var/lib/mect && install -d -o mect -g mect /etc/mect/targets && \
    echo '[]' > /etc/mect/targets/targets.json && chown mect:mect /etc/mect/targets/targets.json
USER mect
ENV MECT_CONFIG=/etc/mect/collector.toml MECT_DATA_DIR=/var/lib/mect MECT_LISTEN=0.0.0.0:8000
VOLUME /var/lib/mect
EXPOSE 8000
# Lives also while its database is away: it serves from memory then.
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s CMD ["mect-collector", "healthcheck"]
ENTRYPOINT ["mect-collector"]
CMD ["serve"]
