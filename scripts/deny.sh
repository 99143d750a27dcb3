#!/usr/bin/env bash
# Runs cargo-deny, installing it into the project's cache the first time.
set -euo pipefail
cd "$(dirname "$0")/.."
version=0.20.2
root=.cache/tools
if ! "$root/bin/cargo-deny" --version 2>/dev/null | grep -qF "$version"; then
    # Speed of the tool does not matter here, the time to build it does.
    CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_LTO=false CARGO_PROFILE_RELEASE_DEBUG=false \
        CARGO_PROFILE_RELEASE_CODEGEN_UNITS=256 \
        cargo install cargo-deny --version "$version" --locked --root "$root" --target-dir "$root/target"
fi
exec "$root/bin/cargo-deny" "$@"
