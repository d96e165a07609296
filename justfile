# https://just.systems. `just` alone lists the recipes.

_list:
    @just --list --unsorted

# a server with synthetic patients on http://127.0.0.1:8080/fhir; e.g. just run --patients 500
run *arguments:
    cargo run --release -- demo {{ arguments }}

# all tests of the workspace; for one of them: just test NAME
test *arguments:
    cargo test --workspace {{ arguments }}

# the same; PostgreSQL is mandatory
test-postgres *arguments:
    TESSERA_REQUIRE_POSTGRES=1 cargo test --workspace {{ arguments }}

# the black-box tests of the specification
conformance *arguments:
    cargo test --workspace --test conformance {{ arguments }}

# the same behind a reverse proxy that adds a prefix to the path; every body is kept in target/bodies
conformance-behind-proxy *arguments:
    rm -rf target/bodies
    TESSERA_TEST_PREFIX=/ehr/r4 TESSERA_TEST_RECORD=$PWD/target/bodies \
        cargo test --workspace --test conformance {{ arguments }}

# whether any FHIR R4 server keeps the specification: just test-server https://example.org/fhir --html report.html
test-server base-url *arguments:
    cargo run -q -p conformance-tests -- --base-url {{ base-url }} {{ arguments }}

# clients of others (Python, Node, Java) against a server
clients:
    conformance-tests/clients/run

# the Dockerfile, docker-compose.yml and what is in deploy/; does by hand what compose would do at the first start
deployment *checks:
    cargo build -p tessera-server
    deploy/check {{ checks }}

# requests made of the OpenAPI document (schemathesis), for longer than in `just clients`
schemathesis seconds="600" seed="1":
    SECONDS_MAX={{ seconds }} SEED={{ seed }} conformance-tests/clients/run openapi

# parses the bodies of `just conformance-behind-proxy` with strict parsers of others
bodies folder="target/bodies":
    conformance-tests/clients/run bodies {{ folder }}

# random requests made of the CapabilityStatement, more of them than in `just test`
hammer requests="20000" seed="1":
    TESSERA_HAMMER_REQUESTS={{ requests }} TESSERA_HAMMER_SEED={{ seed }} cargo test --workspace --test hammer -- --nocapture

# kills and power losses, `rounds` times as long as in `just test`
crash rounds="10":
    TESSERA_CRASH_ROUNDS={{ rounds }} cargo test --workspace --test crash -- --nocapture

# who sees what: every resource type with every interaction and scope, against an oracle (CMP-21)
matrix:
    TESSERA_MATRIX=all cargo test --release -p tessera-http --test it cmp_21 -- --nocapture

# the same answers, whether there is another patient's record or not (CMP-20): so many random requests
noninterference requests="200000" seed="20":
    TESSERA_REQUESTS={{ requests }} TESSERA_SEED={{ seed }} cargo test --release -p tessera-http --test it cmp_20_what -- --nocapture

# whether it takes the same time to read what is hidden as what is not there (CMP-20)
noninterference-timing:
    cargo test --release -p tessera-http --test it cmp_20_timing -- --ignored --nocapture

# so many sockets that send their heads slowly, beside somebody in a hurry (HTTP-3); wants `ulimit -n` above twice that
slowloris sockets="2000":
    cargo build -p tessera-server
    TESSERA_SLOW_SOCKETS={{ sockets }} cargo test --workspace --test conformance http_3_slow_heads -- --nocapture

# fuzz targets, so many seconds each; or one of them: just fuzz 60 search
fuzz seconds="60" target="":
    fuzz/run {{ seconds }} {{ target }}

# formats
fmt:
    cargo fmt
    cargo fmt --manifest-path crates/typed/Cargo.toml
    cargo fmt --manifest-path fuzz/Cargo.toml

# clippy, warnings as errors
lint:
    cargo clippy --workspace --all-targets -- -D warnings

# what continuous integration runs
check:
    .ci/run

# writes the definition tables anew
definitions:
    cargo xtask definitions

# the typed models, which stand outside the workspace; brings their lock file up to date
typed:
    cargo test --manifest-path crates/typed/Cargo.toml --target-dir target/typed

# bans, licences and sources of all dependencies: cargo install cargo-deny --locked
deny:
    cargo deny check bans licenses sources
    cargo deny --manifest-path crates/typed/Cargo.toml check bans licenses sources

# HL7's FHIRPath suite, which is not part of this repository: the folder with tests-fhir-r4.xml and its inputs
fhirpath-suite folder:
    cargo run -q -p tessera-model --example fhirpath_suite -- {{ folder }}

# whether the resources in folders come back from a server as they were after a detour through XML
round-trip base-url *folders:
    cargo run -q --release -p conformance-tests --bin round_trip -- {{ base-url }} {{ folders }}

# what this tree's server has of another commit's, measured in turns on the same data: just bench-regress main --only search
bench-regress base *arguments:
    bench/regress {{ base }} {{ arguments }}

# what the steps of a request cost, without sockets; or one of them: just bench-micro parse_json
bench-micro *name:
    cargo bench -p tessera-bench -- {{ name }}

# how fast our JSON, serde_json's and the typed models are; of a folder of bundles, or of synthetic ones
bench *folder:
    cargo run --release --manifest-path crates/typed/Cargo.toml --target-dir target/typed --example compare -- {{ folder }}
