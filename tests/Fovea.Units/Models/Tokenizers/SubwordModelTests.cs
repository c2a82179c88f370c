using System.Text;
using Fovea.Models;
namespace Fovea.Units;

public class SubwordModelTests
{
    static byte[] B(string s) => Encoding.UTF8.GetBytes(s);
    static int[] Encode(ISubwordModel m, string text) { var ids = new List<int>(); m.Encode(B(text), ids); return [.. ids]; }
    static string Letters(Rng rng, int n) => string.Concat(Enumerable.Range(0, n).Select(i => (char)('a' + (int)(3 * rng.Uniform(i)))));

    /// <summary>Merges of random tokens over a, b and c.</summary>
    static (string[] Tokens, (string, string)[] Rules) Random(Rng rng, int count)
    {
        var tokens = new List<string> { "a", "b", "c" }; var rules = new List<(string, string)>();
        for (int i = 0; rules.Count < count; i++)
        {
            string l = tokens[(int)(tokens.Count * rng.Uniform(2 * i))], r = tokens[(int)(tokens.Count * rng.Uniform(2 * i + 1))];
            if (rules.Contains((l, r)) || l.Length + r.Length > 12) continue;
            rules.Add((l, r));
            if (!tokens.Contains(l + r)) tokens.Add(l + r);
        }
        return ([.. tokens], [.. rules]);
    }

    [Fact]
    public void Merges_happen_one_at_a_time_the_earliest_rule_first_and_leftmost()
    {
        for (int trial = 0; trial < 30; trial++)
        {
            var rng = new Rng(9)[trial];
            var (tokens, rules) = Random(rng["rules"], 5 + trial);
            var model = new BytePairModel(new([.. tokens.Select(B)]), [.. rules.Select(r => (B(r.Item1), B(r.Item2)))], new() { Bytes = true }, lenient: false);
            // 40 is where the search gives way to the queue.
            foreach (int n in new[] { 1, 2, 7, 39, 40, 41, 70, 200 })
            {
                string text = Letters(rng[n], n); var parts = text.Select(c => c.ToString()).ToList();
                while (true)
                {
                    var (rank, at) = Enumerable.Range(0, parts.Count - 1).Select(i => (Array.IndexOf(rules, (parts[i], parts[i + 1])), i)).Where(x => x.Item1 >= 0).DefaultIfEmpty((-1, -1)).Min();
                    if (rank < 0) break;
                    parts[at] += parts[at + 1]; parts.RemoveAt(at + 1);
                }
                Assert.Equal(parts.Select(p => Array.IndexOf(tokens, p)), Encode(model, text));
            }
        }
    }

    [Fact]
    public void Scores_merge_the_highest_first_and_leftmost()
    {
        for (int trial = 0; trial < 30; trial++)
        {
            var rng = new Rng(10)[trial]; var (tokens, _) = Random(rng["rules"], 5 + trial);
            double[] scores = [.. tokens.Select((_, i) => (double)(Half)(10 * rng["score"].Uniform(i) - 8))];
            var model = new ScoreModel(new([.. tokens.Select(B)]), scores, -1);
            foreach (int n in new[] { 1, 2, 7, 40, 41, 70, 200 })
            {
                string text = Letters(rng[n], n); var parts = text.Select(c => c.ToString()).ToList();
                while (true)
                {
                    var (score, at) = Enumerable.Range(0, parts.Count - 1).Select(i => (Array.IndexOf(tokens, parts[i] + parts[i + 1]), i)).Where(x => x.Item1 >= 0).Select(x => (-scores[x.Item1], x.i)).DefaultIfEmpty((0, -1)).Min();
                    if (at < 0) break;
                    parts[at] += parts[at + 1]; parts.RemoveAt(at + 1);
                }
                Assert.Equal(parts.Select(p => Array.IndexOf(tokens, p)), Encode(model, text));
            }
        }
    }

    [Fact]
    public void The_unigram_model_finds_the_best_sum_of_all()
    {
        for (int trial = 0; trial < 50; trial++)
        {
            var rng = new Rng(11)[trial]; var tokens = Random(rng["rules"], 12).Tokens;
            double[] scores = [.. tokens.Select((_, i) => -5 * rng["score"].Uniform(i))];
            var model = new UnigramModel(new([.. tokens.Select(B)]), scores, i => true, scores.Min(), -1, byteFallback: false);
            string text = Letters(rng["text"], 9);
            double Best(string rest) => rest.Length == 0 ? 0 : tokens.Select((t, i) => (t, i)).Where(x => rest.StartsWith(x.t, StringComparison.Ordinal)).Max(x => scores[x.i] + Best(rest[x.t.Length..]));
            int[] ids = Encode(model, text);
            Assert.Equal(text, string.Concat(ids.Select(i => tokens[i])));
            Assert.Equal(Best(text), ids.Sum(i => scores[i]), 9);
        }
    }

    [Fact]
    public void Unknown_characters_side_by_side_are_one_or_their_bytes()
    {
        var table = new TokenTable([B("<unk>"), B("a")]);
        Assert.Equal([1, 0, 1], Encode(new UnigramModel(table, [0, -1], i => i > 0, -1, 0, byteFallback: true), "aéüa"));
        var bytes = new TokenTable([B("<unk>"), B("a"), .. Enumerable.Range(0, 256).Select(b => B($"<0x{b:X2}>"))]);
        Assert.Equal([1, 2 + 0xc3, 2 + 0xa9, 1], Encode(new UnigramModel(bytes, new double[258], i => i > 0, 0, 0, byteFallback: true), "aéa"));
        Assert.Equal([1, 2 + 0xc3, 2 + 0xa9], Encode(new BytePairModel(bytes, [], new() { ByteFallback = true, Unknown = 0 }, lenient: false), "aé"));
        Assert.Equal([1, 0, 0], Encode(new BytePairModel(table, [], new() { Unknown = 0 }, lenient: false), "aéü"));
        Assert.Equal([1, 0], Encode(new BytePairModel(table, [], new() { Unknown = 0, FuseUnknown = true }, lenient: false), "aéü"));
    }
}

public class SpecialTokenTests
{
    static string Cut(string text, bool byLength, params SpecialToken[] tokens) =>
        string.Join("", new SpecialTokens(tokens, byLength).Split(Encoding.UTF8.GetBytes(text), control: true).Select(f => $"[{(f.Token < 0 ? "" : f.Token + ":")}{text[f.Start..f.End]}]"));
    static SpecialToken T(int id, string text) => new(id, Encoding.UTF8.GetBytes(text));

    [Fact]
    public void Longest_first_or_leftmost_first()
    {
        Assert.Equal("[a][1:bcd][e]", Cut("abcde", true, T(0, "ab"), T(1, "bcd")));
        Assert.Equal("[0:ab][cde]", Cut("abcde", false, T(0, "ab"), T(1, "bcd")));
        Assert.Equal("[2:abc][de]", Cut("abcde", false, T(0, "ab"), T(1, "bcd"), T(2, "abc")));
        Assert.Equal("[0:ab][0:ab]", Cut("abab", true, T(0, "ab")));
        Assert.Equal("[1:aaa][0:a][b]", Cut("aaaab", true, T(0, "a"), T(1, "aaa")));
    }

    [Fact]
    public void Spaces_go_along_and_words_stay_whole()
    {
        Assert.Equal("[x][0:  <m> ][y]", Cut("x  <m> y", false, T(0, "<m>") with { StripLeft = true, StripRight = true }));
        Assert.Equal("[x][0:<m>][y]", Cut("x<m> \ty", true, T(0, "<m>") with { StripRight = true }).Replace(" \t", ""));
        Assert.Equal("[cats ][0:cat]", Cut("cats cat", false, T(0, "cat") with { SingleWord = true }));
    }
}
