#!/usr/bin/env bash
# Training tokens per second of the default decoder: Fovea and PyTorch in turn. Usage: train.sh [ROUNDS]
set -euo pipefail
cd "$(dirname "$0")/../.."
rounds=${1:-3}
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
export MALLOC_MMAP_THRESHOLD_=268435456 MALLOC_TRIM_THRESHOLD_=536870912 MALLOC_TOP_PAD_=268435456
dotnet build -c Release src/Fovea.Cli -v quiet
for ((i = 0; i < rounds; i++)); do
  for threads in 1 2; do OPENBLAS_NUM_THREADS=$threads /usr/bin/python3 bench/peers/train.py "$threads" 12 | tee -a "$work/torch"; done
  dotnet run -c Release --no-build --project src/Fovea.Cli -- bench train --json > "$work/fovea.$i"
done
/usr/bin/python3 - "$work" <<'END'
import glob, json, statistics, sys
ours, theirs = {}, {}
for f in glob.glob(sys.argv[1] + "/fovea.*"):
    for r in json.load(open(f)):
        if "tokensPerSecond" in r: ours.setdefault(r["threads"], []).append(r["tokensPerSecond"])
for line in open(sys.argv[1] + "/torch"):
    w = line.split(); theirs.setdefault(int(w[3]), []).append(float(w[5]))
for t in sorted(theirs):
    a, b = statistics.median(ours[t]), statistics.median(theirs[t])
    print(f"{t} thread(s): Fovea {a:.0f} tokens/s, PyTorch {b:.0f} tokens/s, ratio {a / b:.2f}")
END
