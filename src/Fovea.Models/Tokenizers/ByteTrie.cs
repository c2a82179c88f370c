namespace Fovea.Models;

/// <summary>All keys that a text begins with, shortest first. Children of a node lie side by side, sorted.</summary>
sealed class ByteTrie
{
    readonly byte[] letters;
    readonly int[] firsts, values;       // node i has children firsts[i] … firsts[i + 1] − 1 and the value values[i], −1 for none

    public ByteTrie(IEnumerable<(byte[] Key, int Value)> keys)
    {
        // Of equal keys the last counts; sorting is stable by the index.
        var sorted = keys.Where(k => k.Key.Length > 0).Select((k, i) => (k.Key, k.Value, Index: i)).ToArray();
        Array.Sort(sorted, (a, b) => a.Key.AsSpan().SequenceCompareTo(b.Key) is not 0 and var order ? order : a.Index.CompareTo(b.Index));
        var letter = new List<byte> { 0 }; var value = new List<int> { -1 }; var first = new List<int>();
        // Breadth first, so that the children of a node are made together: (keys from, to; depth) per node.
        var nodes = new List<(int From, int To, int Depth)> { (0, sorted.Length, 0) };
        for (int n = 0; n < nodes.Count; n++)
        {
            var (from, to, depth) = nodes[n];
            first.Add(nodes.Count);
            while (from < to && sorted[from].Key.Length == depth) value[n] = sorted[from++].Value;
            while (from < to)
            {
                byte b = sorted[from].Key[depth]; int end = from + 1;
                while (end < to && sorted[end].Key[depth] == b) end++;
                nodes.Add((from, end, depth + 1)); letter.Add(b); value.Add(-1);
                from = end;
            }
        }
        first.Add(nodes.Count);
        (letters, firsts, values) = ([.. letter], [.. first], [.. value]);
    }

    public bool IsEmpty => letters.Length == 1;

    /// <summary>The child of a node for a byte, or −1; the root is 0.</summary>
    public int Next(int node, byte b)
    {
        int from = firsts[node], n = firsts[node + 1] - from;
        if (n == 0) return -1;
        int i = letters.AsSpan(from, n).BinarySearch(b);
        return i < 0 ? -1 : from + i;
    }
    /// <summary>The value at a node, or −1.</summary>
    public int Value(int node) => values[node];

    /// <summary>The value and length of the longest key that the text begins with; length 0 where there is none.</summary>
    public (int Value, int Length) Longest(ReadOnlySpan<byte> text)
    {
        int node = 0; var best = (-1, 0);
        for (int i = 0; i < text.Length && (node = Next(node, text[i])) >= 0; i++) if (values[node] >= 0) best = (values[node], i + 1);
        return best;
    }
}
