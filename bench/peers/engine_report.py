"""The table of engine.sh. Usage: engine_report.py ROWS VERSION THREADS; a row is LABEL|PROMPT|read write open|read write, seconds, - where a peer was not asked."""
import collections, statistics, sys

rows = collections.defaultdict(list)
for line in open(sys.argv[1]):
    label, prompt, ours, theirs = line.rstrip("\n").split("|")
    rows[label].append((int(prompt), [float(x) for x in ours.split()], [float(x) if x != "-" else None for x in theirs.split()]))

model = next((l.split(":", 1)[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), "unknown processor")
print("# Language models in Fovea and in llama.cpp\n")
print(f"Written by `bench/peers/engine.sh`: models with drawn weights, the same file in turn, {sys.argv[3]} threads ({model}); llama.cpp as node-llama-cpp {sys.argv[2]} brings it. Medians of {max(len(r) for r in rows.values())} rounds; ratios are taken within a round, above 1 Fovea is faster.\n")
print("| | opened in, s | read, tokens/s | llama.cpp | ratio | written, tokens/s | llama.cpp | ratio |\n| --- | --- | --- | --- | --- | --- | --- | --- |")


def pair(trials, which, tokens):
    mine = statistics.median(tokens(t) / t[1][which] for t in trials)
    trials = [t for t in trials if t[2][which] is not None]
    if not trials: return f"{mine:.1f} | – | –"
    theirs = statistics.median(tokens(t) / t[2][which] for t in trials); ratio = statistics.median(t[2][which] / t[1][which] for t in trials)
    return f"{mine:.1f} | {theirs:.1f} | {ratio:.2f}"


for label, trials in rows.items():
    print(f"| {label} | {statistics.median(t[1][2] for t in trials):.2f} | {pair(trials, 0, lambda t: t[0])} | {pair(trials, 1, lambda t: 1)} |")
