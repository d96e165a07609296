# The server authenticates: see docs/smart.md.
#
#   docker build --tag tessera .

ARG RUST=1.95.0
ARG DEBIAN=bookworm-20260518-slim

FROM rust:${RUST}-bookworm AS build
ARG RUST
# rust-toolchain.toml names a channel, which rustup would fetch.
ENV RUSTUP_TOOLCHAIN=${RUST}
WORKDIR /source
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/source/target \
    cargo build --release --locked --package tessera-server \
    && install --strip target/release/tessera /usr/local/bin/tessera

FROM debian:${DEBIAN}
# Certificates: for `tessera load --server https://…`, and PostgreSQL with TLS.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 tessera \
    && useradd --uid 10001 --gid tessera --home-dir /data --no-create-home --shell /usr/sbin/nologin tessera \
    && install --directory --owner tessera --group tessera --mode 0700 /data
COPY --from=build /usr/local/bin/tessera /usr/local/bin/tessera

USER 10001:10001
WORKDIR /data
# The only place it writes to: the rest may be read-only.
VOLUME /data
ENV TESSERA_LISTEN=0.0.0.0:8080 \
    TESSERA_DATABASE_URL=sqlite:/data/tessera.db
EXPOSE 8080
# SIGTERM lets requests in flight end, within 30 seconds.
STOPSIGNAL SIGTERM
# The image has no curl; bash opens the connection itself.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8080 && printf 'GET /health/ready HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n' >&3 && read -r _ status _ <&3 && [ \"$status\" = 200 ]"]
ENTRYPOINT ["tessera"]
CMD ["serve"]
