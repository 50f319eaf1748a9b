#!/usr/bin/env bash
# Builds the hostile guest of the conformance suite into guest-programs/prebuilt, with the compiler and
# the flags of guest-programs/build.sh, which it leaves alone: the digest of the mailed template covers it.
set -euo pipefail
cd "$(dirname "$0")"
target=wasm32-unknown-unknown
cargo=cargo
flags=()

export CARGO_ENCODED_RUSTFLAGS
CARGO_ENCODED_RUSTFLAGS=$(printf '%s\x1f' \
  -Clink-arg=-zstack-size=32768 -Clink-arg=--initial-memory=131072 -Clink-arg=--max-memory=131072 \
  --remap-path-prefix="$PWD=." --remap-path-prefix="${CARGO_HOME:-$HOME/.cargo}=cargo")
CARGO_ENCODED_RUSTFLAGS=${CARGO_ENCODED_RUSTFLAGS%$'\x1f'}

if ! rustup target list --installed 2>/dev/null | grep -qx "$target"; then
  if [ ! -x /usr/bin/cargo ] || [ ! -x /usr/bin/rustc ] || [ ! -d /usr/lib/rustlib/src/rust/library ] \
    || ! command -v wasm-ld-22 >/dev/null; then
    echo "No compiler for $target here. Install one of these, then run this again:" >&2
    echo "  rustup target add $target" >&2
    echo "  sudo apt-get install -y --no-install-recommends rustc-web cargo-web rust-web-src lld-22" >&2
    exit 1
  fi
  cargo=/usr/bin/cargo
  flags=(-Z build-std=core,alloc)
  export RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=wasm-ld-22
fi
compiler=$("${RUSTC:-rustc}" --version)
"$cargo" build --locked --release "${flags[@]}" --target "$target"
unset RUSTC RUSTC_BOOTSTRAP CARGO_ENCODED_RUSTFLAGS CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER
command cargo run --locked --quiet -p pack --manifest-path ../../Cargo.toml -- hostile "target/$target/release/hostile.wasm" "$compiler"
