"""Joins what run.sh measured into a table. Usage: report.py FOLDER LOAD; the folder holds one folder per round with Fovea's *.json and peers.tsv, and missing.tsv."""
import collections, glob, json, os, statistics, sys

folder, load = sys.argv[1:]
ours, theirs, versions, machine = collections.defaultdict(dict), collections.defaultdict(dict), {}, ""
for path in sorted(glob.glob(folder + "/*/*.json")):
    results = json.load(open(path)); machine = results["machine"]; turn = os.path.basename(os.path.dirname(path))
    for r in results["rows"]: ours[r["threads"], r["name"], r["size"]][turn] = r["ms"]
order = list(ours)
for path in sorted(glob.glob(folder + "/*/peers.tsv")):
    turn = os.path.basename(os.path.dirname(path))
    for line in open(path):
        peer, version, kernel, size, threads, seconds = line.rstrip("\n").split("\t")
        versions[peer] = version; times = theirs[int(threads), kernel, size, peer]
        # A peer with several settings writes several lines in one round: its best counts.
        times[turn] = min(times.get(turn, 1e30), float(seconds) * 1e3)

print("# Fovea and its peers\n")
print("Written by `bench/peers/run.sh`: the same work in turn, best times of each round, medians over rounds; processor time on one thread, time on the wall on more.")
print("In brackets the peer's time over Fovea's: above 1 Fovea is faster. – where the peer has no such operator or was not measured.\n")
print(f"Machine: {machine}; load {load} before the start, {len(glob.glob(folder + '/*/peers.tsv'))} round(s).\n")
print("Peers: " + ("; ".join(f"{p} {v}" for p, v in sorted(versions.items())) or "none") + ".")
missing = dict(line.rstrip("\n").split("\t") for line in open(folder + "/missing.tsv"))
print("Missing: " + ("; ".join(f"{p} ({why.strip()})" for p, why in sorted(missing.items())) or "none") + ".")


def cell(key, peer):
    times, mine = theirs.get((*key, peer), {}), ours[key]
    both = [t for t in times if t in mine]
    if not both: return "–"
    return f"{statistics.median(times[t] for t in both):.4g} ({statistics.median(times[t] / mine[t] for t in both):.2f}×)"


for threads in sorted({k[0] for k in order}):
    rows = [k for k in order if k[0] == threads and any((*k, p) in theirs for p in versions)]
    peers = [p for p in sorted(versions) if any((*k, p) in theirs for k in rows)]
    if not rows: continue
    print(f"\n## {threads} thread{'s' if threads > 1 else ''}, ms\n")
    print("| kernel | size | Fovea | " + " | ".join(peers) + " |\n|" + " --- |" * (3 + len(peers)))
    for k in rows: print(f"| {k[1]} | {k[2]} | {statistics.median(ours[k].values()):.4g} | " + " | ".join(cell(k, p) for p in peers) + " |")
if os.path.exists(folder + "/train"):
    print("\n## A training step of the default decoder\n")
    for line in open(folder + "/train"): print("- " + line.strip())
