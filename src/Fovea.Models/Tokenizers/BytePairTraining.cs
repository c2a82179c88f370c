using System.Runtime.InteropServices;
namespace Fovea.Models;

/// <summary>Counts pairs once and afterwards only where a merge changed something.</summary>
sealed class BytePairTraining
{
    readonly List<(int[] Ids, int Length, long Count)> pieces = [];
    readonly Dictionary<(int, int), long> counts = [];
    readonly Dictionary<(int, int), HashSet<int>> places = [];
    // The order of merges: often, then small ids. Entries whose count has changed since are skipped when they surface.
    readonly PriorityQueue<(int Left, int Right), (long, int, int)> queue = new();

    public BytePairTraining(ReadOnlySpan<byte> text)
    {
        var seen = new Dictionary<string, int>(StringComparer.Ordinal);
        while (!text.IsEmpty)
        {
            var piece = text[..BytePairTokenizer.PieceLength(text)];
            ref int index = ref CollectionsMarshal.GetValueRefOrAddDefault(seen, System.Text.Encoding.Latin1.GetString(piece), out bool known);
            if (!known) { index = pieces.Count; pieces.Add((new ByteTokenizer().Encode(piece), piece.Length, 0)); }
            CollectionsMarshal.AsSpan(pieces)[index].Count++;
            text = text[piece.Length..];
        }
        var changed = new HashSet<(int, int)>();
        for (int p = 0; p < pieces.Count; p++) Count(p, +1, changed);
        Enqueue(changed);
    }

    public List<(int Left, int Right)> Run(int most)
    {
        var merges = new List<(int, int)>(); var changed = new HashSet<(int, int)>();
        while (merges.Count < most && queue.TryDequeue(out var pair, out var priority))
        {
            if (-priority.Item1 != counts.GetValueOrDefault(pair)) continue;
            if (counts[pair] < 2) break;
            changed.Clear();
            foreach (int p in places[pair].ToArray())
            {
                Count(p, -1, changed);
                ref var piece = ref CollectionsMarshal.AsSpan(pieces)[p];
                piece.Length = BytePairTokenizer.Replace(piece.Ids.AsSpan(0, piece.Length), pair, 256 + merges.Count);
                Count(p, +1, changed);
            }
            merges.Add(pair);
            Enqueue(changed);
        }
        return merges;
    }

    /// <summary>Adds the pairs of a piece to the counts, or takes them away.</summary>
    void Count(int p, int sign, HashSet<(int, int)> changed)
    {
        var (ids, length, count) = pieces[p];
        for (int i = 0; i + 1 < length; i++)
        {
            var pair = (ids[i], ids[i + 1]);
            CollectionsMarshal.GetValueRefOrAddDefault(counts, pair, out _) += sign * count;
            if (!places.TryGetValue(pair, out var where)) places[pair] = where = [];
            if (sign > 0) where.Add(p); else where.Remove(p);
            changed.Add(pair);
        }
    }

    void Enqueue(HashSet<(int, int)> changed)
    {
        foreach (var pair in changed) if (counts[pair] > 0) queue.Enqueue(pair, (-counts[pair], pair.Item1, pair.Item2));
    }
}
