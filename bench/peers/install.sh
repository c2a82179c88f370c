#!/usr/bin/env bash
# Brings the peers from public package managers (Debian, npm) and builds what runs them, under artifacts/peers. Usage: install.sh
# Each peer stands for itself: one that does not install is named and left out. Debian packages need root.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd); to=$here/../../artifacts/peers
mkdir -p "$to/models"; to=$(cd "$to" && pwd)
log=$to/install.log; : > "$log"
step() { local what=$1; shift; if "$@" >> "$log" 2>&1; then echo "installed: $what"; else echo "missing: $what (see $log)"; fi; }
debian() { dpkg -s "$@" > /dev/null 2>&1 || apt-get install -y --no-install-recommends "$@"; }
# Where a package keeps a file; packages that can be chosen as the system's BLAS have folders of their own.
folder() { dpkg -L "$1" | grep "/$2\$" | head -1 | xargs -r dirname; }
compile() { gcc -O2 -Wall -Wno-unused-function "$here/$1.c" -o "$to/$2" "${@:3}"; }

openblas() {
  debian gcc libc6-dev libopenblas-pthread-dev || return
  local lib; lib=$(folder libopenblas-pthread-dev libopenblas.so)
  compile gemm openblas -DOPENBLAS -I"$(folder libopenblas-pthread-dev cblas.h)" -L"$lib" -Wl,-rpath,"$lib" -lopenblas
}
blis() {
  debian gcc libc6-dev libblis-openmp-dev || return
  local lib; lib=$(folder libblis-openmp-dev libblis.so)
  compile gemm blis -DBLIS -I"$(folder libblis-openmp-dev cblas.h)" -L"$lib" -Wl,-rpath,"$lib" -lblis
}
onednn() { debian gcc libc6-dev libdnnl-dev && compile gemm onednn -DONEDNN -ldnnl; }
torch() { debian python3-torch libopenblas0-pthread; }
onnx() {
  debian nodejs python3-onnx && /usr/bin/python3 "$here/onnx_models.py" "$to/models" &&
    npm install --prefix "$to" --no-fund --no-audit --ignore-scripts onnxruntime-node
}
llama() {
  debian gcc libc6-dev nodejs && npm install --prefix "$to" --no-fund --no-audit --ignore-scripts node-llama-cpp || return
  local lib=$to/node_modules/@node-llama-cpp/linux-$(node -p process.arch)/bins/linux-$(node -p process.arch)
  local ggml; ggml=$(cd "$lib" && ls libggml.*so* | grep -v -e base -e cpu | head -1)
  compile ggml llama -L"$lib" -l:"$ggml" -l:libggml-base.so -Wl,-rpath,"$lib" -lm
  local model; model=$(cd "$lib" && ls libllama.*so* | head -1)
  compile llama llama-model -L"$lib" -l:"$model" -l:"$ggml" -l:libggml-base.so -Wl,-rpath,"$lib"
}

[ -f "$to/package.json" ] || echo '{ "private": true }' > "$to/package.json"
step OpenBLAS openblas
step BLIS blis
step oneDNN onednn
step PyTorch torch
step 'ONNX Runtime' onnx
step llama.cpp llama
