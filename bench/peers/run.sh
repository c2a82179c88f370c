#!/usr/bin/env bash
# The same work in Fovea and in its peers, in turn. Usage: run.sh [--quick] [--rounds N] [--out FILE] [--no-train]
# Run install.sh first. Writes bench/peers/results.md; an idle machine is worth more than many rounds.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd); root=$(cd "$here/../.." && pwd); peers=$root/artifacts/peers
rounds=3 quick='' out=$here/results.md train=yes
while [ $# -gt 0 ]; do
  case $1 in
    --quick) quick=quick ;;
    --rounds) rounds=${2:?--rounds needs a number}; shift ;;
    --out) out=${2:?--out needs a file}; shift ;;
    --no-train) train='' ;;
    *) echo "run.sh: unknown option $1; usage: run.sh [--quick] [--rounds N] [--out FILE] [--no-train]" >&2; exit 2 ;;
  esac
  shift
done
cores=$(nproc); counts=1; [ "$cores" -eq 1 ] || counts="1 $cores"
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
load=$(cut -d' ' -f1 /proc/loadavg)
cd "$root"
dotnet build -c Release src/Fovea.Cli -v quiet
fovea() { dotnet "$root/src/Fovea.Cli/bin/Release/net10.0/fovea.dll" "$@"; }
# What keeps PyTorch from giving memory back to the system after every step.
export MALLOC_MMAP_THRESHOLD_=268435456 MALLOC_TRIM_THRESHOLD_=536870912 MALLOC_TOP_PAD_=268435456 NODE_PATH=$peers/node_modules

# Names of a kind that this version of Fovea has, and their times into the round's folder.
ours() { fovea bench $(fovea bench --list --json | /usr/bin/python3 -c 'import json, re, sys; print(*[b["name"] for b in json.load(sys.stdin) if re.match(sys.argv[1], b["name"])])' "$2") ${quick:+--quick} --save "$work/$1/$3.json" > /dev/null; }
# peer ROUND NAME THREADS COMMAND…: its lines into the round's folder; a peer that fails is named in the table, not dropped.
peer() {
  local round=$1 name=$2 threads=$3; shift 3
  echo "$name, $threads thread(s)" >&2
  OPENBLAS_NUM_THREADS=${blas:-$threads} OMP_NUM_THREADS=$threads BLIS_NUM_THREADS=$threads "$@" >> "$work/$round/peers.tsv" 2> "$work/stderr" ||
    printf '%s\t%s\n' "$name" "$(tail -c 200 "$work/stderr" | tr '\n\t' '  ')" >> "$work/missing.tsv"
}
missing() { printf '%s\t%s\n' "$1" 'not installed; see install.sh' >> "$work/missing.tsv"; }
version() { node -p "require('$1/package.json').version" 2> /dev/null; }
arch=$(node -p process.arch 2> /dev/null || true); lib=$peers/node_modules/@node-llama-cpp/linux-$arch/bins/linux-$arch
: > "$work/missing.tsv"

for name in openblas:OpenBLAS blis:BLIS onednn:oneDNN llama:llama.cpp; do [ -x "$peers/${name%:*}" ] || missing "${name#*:}"; done
torch=yes; /usr/bin/python3 -c 'import torch' 2> /dev/null || { torch=''; missing PyTorch; }
onnx=yes; { [ -f "$peers/models/product.onnx" ] && version onnxruntime-node > /dev/null; } || { onnx=''; missing 'ONNX Runtime'; }

for ((i = 1; i <= rounds; i++)); do
  mkdir "$work/$i"
  echo "round $i of $rounds" >&2
  ours $i '^(gemm|gemv)' gemm
  for t in $counts; do
    for name in openblas:OpenBLAS blis:BLIS onednn:oneDNN; do
      if [ -x "$peers/${name%:*}" ]; then peer $i "${name#*:}" $t "$peers/${name%:*}" $t $quick; fi
    done
    if [ -n "$onnx" ]; then peer $i 'ONNX Runtime' $t node "$here/onnx.js" "$peers/models" $t gemm $quick; fi
    if [ -x "$peers/llama" ]; then peer $i llama.cpp $t "$peers/llama" "$lib" "node-llama-cpp $(version node-llama-cpp)" $t gemm $quick; fi
  done
  ours $i '^(attention|attention-causal|attention-backward|attention-sparse|decode-.*|linear)$' attention
  for t in $counts; do
    if [ -n "$torch" ]; then
      peer $i PyTorch $t /usr/bin/python3 "$here/attention.py" $t $quick
      # Threads of PyTorch and of its BLAS get in each other's way; the faster setting counts.
      if [ $t -gt 1 ]; then blas=1 peer $i PyTorch $t /usr/bin/python3 "$here/attention.py" $t $quick; fi
    fi
    for what in attention decode; do
      if [ -n "$onnx" ]; then peer $i 'ONNX Runtime' $t node "$here/onnx.js" "$peers/models" $t $what $quick; fi
      if [ -x "$peers/llama" ]; then peer $i llama.cpp $t "$peers/llama" "$lib" "node-llama-cpp $(version node-llama-cpp)" $t $what $quick; fi
    done
  done
done
if [ -n "$train" ] && [ -n "$torch" ]; then "$here/train.sh" "$rounds" | grep ' core(s): ' > "$work/train" || printf 'PyTorch (training)\tfailed\n' >> "$work/missing.tsv"; fi
/usr/bin/python3 "$here/report.py" "$work" "$load" > "$work/results.md"
mv "$work/results.md" "$out"
echo "written: $out" >&2
