#!/usr/bin/env bash
# Language models in Fovea and in llama.cpp, the same files in turn, on all threads. Usage: engine.sh [--quick] [--rounds N] [--out FILE]
# Run install.sh first. Models have drawn weights: 1 B parameters for reading and writing, one layer of the same attention for long caches. Writes bench/peers/engine.md. --quick leaves out long prompts and caches; without it, allow half an hour.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd); root=$(cd "$here/../.." && pwd); peers=$root/artifacts/peers
rounds=3 quick='' out=$here/engine.md
while [ $# -gt 0 ]; do
  case $1 in
    --quick) quick=quick ;;
    --rounds) rounds=${2:?--rounds needs a number}; shift ;;
    --out) out=${2:?--out needs a file}; shift ;;
    *) echo "engine.sh: unknown option $1; usage: engine.sh [--quick] [--rounds N] [--out FILE]" >&2; exit 2 ;;
  esac
  shift
done
arch=$(node -p process.arch); lib=$peers/node_modules/@node-llama-cpp/linux-$arch/bins/linux-$arch
[ -x "$peers/llama-model" ] && [ -d "$lib" ] || { echo 'engine.sh: llama.cpp is not installed; run install.sh first' >&2; exit 1; }
dotnet build -c Release "$root/src/Fovea.Cli" -v quiet -clp:ErrorsOnly
fovea() { dotnet "$root/src/Fovea.Cli/bin/Release/net10.0/fovea.dll" "$@"; }
models=$peers/models/engine; mkdir -p "$models"; threads=$(nproc)
model() { [ -f "$models/$1" ] || fovea bench random-model "$models/$1" "${@:2}" > /dev/null; }
for kind in Q8_0 Q4_0 F16; do model "1b-$kind.gguf" --kind $kind; done
[ -n "$quick" ] || model attention.gguf --layers 1 --hidden 256 --vocabulary 1024
rows=$(mktemp); trap 'rm -f "$rows"' EXIT
# pair LABEL MODEL PROMPT TOKENS KV THEIR-KV: a line with the seconds of both, or of Fovea alone.
pair() {
  echo "$1" >&2
  local ours theirs='- -'
  ours=$(fovea bench model --model "$models/$2" --prompt "$3" --tokens "$4" --kv "$5" --json | /usr/bin/python3 -c 'import json, sys; d = json.load(sys.stdin); print(d["readSeconds"], d["writeSeconds"] / max(1, d["writeTokens"]), d["openSeconds"])')
  if [ "$6" != - ]; then theirs=$("$peers/llama-model" "$lib" speed "$models/$2" "$6" "$threads" "$3" "$4" 2> /dev/null); fi
  echo "$1|$3|$ours|$theirs" >> "$rows"
}
for ((i = 1; i <= rounds; i++)); do
  echo "round $i of $rounds" >&2
  for kind in Q8_0 Q4_0 F16; do pair "1 B, $kind" "1b-$kind.gguf" 256 48 f32 f16; done
  [ -z "$quick" ] || continue
  for kind in Q8_0 Q4_0 F16; do pair "1 B, $kind, prompt of 2,048" "1b-$kind.gguf" 2048 16 f32 f16; done
  for kv in f32:f32 q8:q8_0 q4:q4_0; do pair "one layer, 4k cache in ${kv%:*}" attention.gguf 4096 64 "${kv%:*}" "${kv#*:}"; done
  # llama.cpp takes some minutes to read so long a prompt into a rounded cache: once is enough.
  for kv in f32:f32 q8:q8_0 q4:q4_0; do pair "one layer, 16k cache in ${kv%:*}" attention.gguf 16384 64 "${kv%:*}" "$([ $i = 1 ] || [ ${kv%:*} = f32 ] && echo "${kv#*:}" || echo -)"; done
  for kv in f32 q8 q4; do pair "one layer, 32k cache in $kv" attention.gguf 32768 128 $kv -; done
done
/usr/bin/python3 "$here/engine_report.py" "$rows" "$(node -p "require('$peers/node_modules/node-llama-cpp/package.json').version")" "$threads" > "$out.new" && mv "$out.new" "$out"
cat "$out"
