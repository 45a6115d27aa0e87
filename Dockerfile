# docker build -t armorgate:0.1.0 .
FROM rust:1.95-slim-trixie AS build
WORKDIR /src
# The dependencies first: they change less often than the sources.
COPY Cargo.toml Cargo.lock ./
COPY tests/bench tests/bench
RUN mkdir -p src tests/cluster tests/node tests/scale \
    && echo 'fn main() {}' | tee src/main.rs tests/agent.rs tests/cluster/main.rs tests/node/main.rs tests/scale/main.rs tests/verdict.rs > /dev/null && touch src/lib.rs \
    && cargo build --locked --release
COPY src src
RUN touch src/lib.rs src/main.rs && cargo build --locked --release

FROM debian:trixie-slim
# The agent compiles profiles with it; what they include is the node's.
RUN apt-get update && apt-get install -y --no-install-recommends apparmor && rm -rf /var/lib/apt/lists/*
COPY --from=build /src/target/release/armorgate /usr/local/bin/armorgate
USER 65532:65532
EXPOSE 8443 8080
ENTRYPOINT ["/usr/local/bin/armorgate"]
CMD ["--help"]
