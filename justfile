# https://just.systems. `just` alone lists the recipes.

_list:
    @just --list --unsorted

# a server with synthetic patients on http://127.0.0.1:8080/fhir; e.g. just run --patients 500
run *arguments:
    cargo run --release -- demo {{arguments}}

# all tests of the workspace; for one of them: just test NAME
test *arguments: _binary
    cargo test --workspace {{arguments}}

# the same; PostgreSQL is mandatory
test-postgres *arguments: _binary
    TESSERA_REQUIRE_POSTGRES=1 cargo test --workspace {{arguments}}

# the black-box tests of the specification
conformance *arguments: _binary
    cargo test --workspace --test conformance {{arguments}}

# kills and power losses, `rounds` times as long as in `just test`
crash rounds="10": _binary
    TESSERA_CRASH_ROUNDS={{rounds}} cargo test --workspace --test crash -- --nocapture

# formats
fmt:
    cargo fmt
    cargo fmt --manifest-path crates/typed/Cargo.toml

# clippy, warnings as errors
lint:
    cargo clippy --workspace --all-targets -- -D warnings

# what continuous integration runs
check:
    .ci/run

# writes the definition tables anew
definitions:
    cargo xtask definitions

# the typed models, which stand outside the workspace
typed:
    CARGO_TARGET_DIR=target/typed cargo test --manifest-path crates/typed/Cargo.toml

# bans, licences and sources of all dependencies: cargo install cargo-deny --locked
deny:
    cargo deny check bans licenses sources
    cargo deny --manifest-path crates/typed/Cargo.toml check bans licenses sources

# how fast our JSON, serde_json's and the typed models are; of a folder of bundles, or of synthetic ones
bench *folder:
    CARGO_TARGET_DIR=target/typed cargo run --release --manifest-path crates/typed/Cargo.toml --example compare -- {{folder}}

# The black-box tests start the binary, which `cargo test` alone does not build.
_binary:
    cargo build --workspace --all-targets
