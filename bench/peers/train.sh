#!/usr/bin/env bash
# Training tokens per second of the default decoder: Fovea and PyTorch in turn. Usage: train.sh [ROUNDS]
set -euo pipefail
cd "$(dirname "$0")/../.."
rounds=${1:-3}
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
export MALLOC_MMAP_THRESHOLD_=268435456 MALLOC_TRIM_THRESHOLD_=536870912 MALLOC_TOP_PAD_=268435456
dotnet build -c Release src/Fovea.Cli -v quiet
for ((i = 0; i < rounds; i++)); do
  for setting in '1 1 1' '2 2 2' '2 1 2' '2 2 1'; do # cores, threads of PyTorch, threads of OpenBLAS: on two cores the best of three settings counts
    read -r cores torch blas <<< "$setting"
    OPENBLAS_NUM_THREADS=$blas /usr/bin/python3 bench/peers/train.py "$torch" 12 | sed "s/^/$cores $blas /" | tee -a "$work/torch"
  done
  dotnet run -c Release --no-build --project src/Fovea.Cli -- bench train --json > "$work/fovea.$i"
done
/usr/bin/python3 - "$work" <<'END'
import glob, json, statistics, sys
ours, theirs = {}, {}
for f in glob.glob(sys.argv[1] + "/fovea.*"):
    for r in json.load(open(f)):
        if r["size"].endswith("8×256 tokens"): ours.setdefault(r["threads"], []).append(r["tokensPerSecond"])
for line in open(sys.argv[1] + "/torch"):
    w = line.split(); theirs.setdefault(int(w[0]), {}).setdefault((w[5], w[1]), []).append(float(w[7]))
for t in sorted(theirs):
    setting, runs = max(theirs[t].items(), key=lambda s: statistics.median(s[1]))
    a, b = statistics.median(ours[t]), statistics.median(runs)
    print(f"{t} core(s): Fovea {a:.0f} tokens/s, PyTorch {b:.0f} tokens/s ({setting[0]} thread(s), OpenBLAS {setting[1]}), ratio {a / b:.2f}")
END
