using System.Text;
namespace Fovea.Models;

/// <summary>
/// The unigram language model (1804.10959): of all ways to cut a piece into tokens the one with the greatest sum of scores, found from left to right. A character without a token of its own costs the
/// smallest score less ten.
/// </summary>
[From("1804.10959", "Section 3.2")]
sealed class UnigramModel : ISubwordModel
{
    const double Penalty = 10;
    readonly TokenTable tokens;
    readonly double[] scores;
    readonly double unknownScore;
    readonly int unknown;
    readonly ByteTrie trie;
    readonly int[]? bytes;

    /// <summary>Tokens that are not <paramref name="used"/> are never chosen; <paramref name="smallest"/> is the smallest score that counts.</summary>
    public UnigramModel(TokenTable tokens, double[] scores, Func<int, bool> used, double smallest, int unknown, bool byteFallback)
    {
        (this.tokens, this.scores, this.unknown, unknownScore) = (tokens, scores, unknown, smallest - Penalty);
        trie = new(Enumerable.Range(0, tokens.Count).Where(used).Select(i => (tokens[i].ToArray(), i)));
        if (!byteFallback) return;
        var ids = new int[256];
        for (int b = 0; b < 256; b++) ids[b] = tokens.Find(Encoding.ASCII.GetBytes($"<0x{b:X2}>"));
        if (!ids.Contains(-1)) bytes = ids;
    }

    public void Encode(ReadOnlySpan<byte> piece, List<int> ids)
    {
        // The best way to every place: its score, where its last token begins and which it is.
        var best = new (double Score, int From, int Id)[piece.Length + 1];
        for (int i = 1; i < best.Length; i++) best[i] = (double.NegativeInfinity, -1, -1);
        for (int at = 0, length; at < piece.Length; at += length)
        {
            Rune.DecodeFromUtf8(piece[at..], out _, out length);
            double score = best[at].Score; bool single = false;
            for (int end = at, node = 0; end < piece.Length && (node = trie.Next(node, piece[end])) >= 0;)
            {
                int id = trie.Value(node);
                end++;
                if (id < 0) continue;
                Try(end, score + scores[id], id);
                single |= end == at + length;
            }
            if (!single) Try(at + length, score + unknownScore, unknown);

            void Try(int end, double total, int id) { if (best[end].From < 0 || total > best[end].Score) best[end] = (total, at, id); }
        }
        int first = ids.Count;
        for (int end = piece.Length; end > 0;)
        {
            var (_, from, id) = best[end]; int start = from;
            // Unknown characters side by side are one.
            while (id == unknown && start > 0 && best[start].Id == unknown) start = best[start].From;
            // What is unknown may have the text of a token: that of the unknown one itself.
            if (id != unknown || id < 0 || bytes is null || tokens.Find(piece[start..end]) >= 0) { if (id >= 0) ids.Add(id); }
            else for (int i = end - 1; i >= start; i--) ids.Add(bytes[piece[i]]);
            end = start;
        }
        ids.Reverse(first, ids.Count - first);
    }
}
