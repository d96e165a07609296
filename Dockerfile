# The server, which authenticates: docs/operating.md has how to run it.
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
    && install --directory --owner tessera --group tessera --mode 0700 /data \
    && install --directory --owner tessera --group tessera --mode 0750 /secrets/database /secrets/grafana /secrets/replication
COPY --from=build /usr/local/bin/tessera /usr/local/bin/tessera

USER 10001:10001
WORKDIR /data
# The only place it writes to: the rest may be read-only.
VOLUME /data
# Whoever starts it says under which URL clients reach it (TESSERA_BASE_URL), and who speaks TLS: it (TESSERA_TLS_CERTIFICATE,
# TESSERA_TLS_KEY), or the proxies in front (TESSERA_HTTP_PROXIES).
ENV TESSERA_LISTEN=0.0.0.0:8080 \
    TESSERA_DATABASE_URL=sqlite:/data/tessera.db \
    TESSERA_AUDIT_FOLDER=/data/audit \
    TESSERA_SECRET_KEY_FILE=/data/secret.key \
    TESSERA_ACCESS_FIRST_ADMINISTRATOR_FILE=/data/administrator
EXPOSE 8080
# SIGTERM lets requests in flight end, within 30 seconds.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["tessera", "health"]
ENTRYPOINT ["tessera"]
CMD ["serve"]
