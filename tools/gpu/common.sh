# Sourced by the scripts of this folder: the binary, the device, where results go.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
OUT=${OUT:-gpu-out}
DEVICE=${DEVICE:-cuda}
mkdir -p "$OUT"
if [ -z "${VISOR:-}" ]; then
    VISOR=$PWD/.gpu/visor
    if [ ! -x "$VISOR" ]; then
        [ -e .gpu/visor.xz ] || { echo "no .gpu/visor.xz: run tools/gpu/build.sh where Rust is" >&2; exit 2; }
        xz --decompress --keep --force .gpu/visor.xz
        chmod +x "$VISOR"
    fi
fi
# NVRTC compiles kernels at run time and wants the toolkit's headers.
if [ "$DEVICE" != cpu ] && [ -z "${CUDA_PATH:-}" ]; then
    for path in /usr/local/cuda /usr/local/cuda-*; do
        [ -e "$path/include/cuda_fp16.h" ] && export CUDA_PATH=$path && break
    done
fi
if [ -n "${CUDA_PATH:-}" ]; then
    export LD_LIBRARY_PATH="$CUDA_PATH/lib64:$CUDA_PATH/lib:${LD_LIBRARY_PATH:-}"
fi

# The name of the device, for records.
device_name() {
    if [ "$DEVICE" = cpu ]; then echo cpu; else
        nvidia-smi --query-gpu=name --format=csv,noheader | head -1 | tr ' A-Z' '-a-z'
    fi
}
