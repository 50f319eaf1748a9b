#!/usr/bin/env bash
# Builds every guest template and writes it, with its manifest, to guest-programs/prebuilt.
# The same sources and compiler give the same bytes.
set -euo pipefail
cd "$(dirname "$0")"
target=wasm32-unknown-unknown
cargo=cargo
flags=()

# No path of this machine may reach the template: it would change its bytes.
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
  # Debian ships no libraries for this target; its compiler builds them from its own sources.
  cargo=/usr/bin/cargo
  flags=(-Z build-std=core,alloc)
  export RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=wasm-ld-22
fi

compiler=$("${RUSTC:-rustc}" --version)
for guest in remittance; do
  "$cargo" build --locked --release "${flags[@]}" --target "$target" --manifest-path "$guest/Cargo.toml"
  (
    unset RUSTC RUSTC_BOOTSTRAP CARGO_ENCODED_RUSTFLAGS CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER
    command cargo run --locked --quiet -p pack -- "$guest" "$guest/target/$target/release/$guest.wasm" "$compiler"
  )
done
