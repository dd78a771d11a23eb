#!/usr/bin/env bash
# Packs what the other scripts need into .gpu/, where Rust is.
set -euo pipefail
cd "$(dirname "$0")/../.."
mkdir -p .gpu
cargo build --release --locked -p visor-cli --features cuda,wgpu --target-dir target/gpu
cp target/gpu/release/visor .gpu/visor
strip .gpu/visor
xz -1 --force .gpu/visor
if [ -n "${REFERENCE:-}" ]; then
    tar --create --xz --file .gpu/reference.tar.xz --directory "$REFERENCE" .
fi
du -sh .gpu/*
