using Fovea.Kernels;
namespace Fovea.Mechanisms;

/// <summary>
/// Attention within windows on a grid of tokens. Without <paramref name="grid"/> the tokens are a line; "16x16" or "4x8x8" makes them an image or a video, row by row. Every axis has the same window, stride
/// and dilation, a window larger than an axis is cut to it, and under Causal = true every axis looks back only. Interleaved axes of a dilation are put one after the other, and the fused kernel
/// goes through the lines of keys that a block of queries sees. A context other than the input is seen as a whole.
/// </summary>
public abstract class GridAttention(AttentionConfig c, Weights w, int window, int stride, int dilation, string grid) : HeadAttention(c, w)
{
    readonly int[] shape = Shape(grid);
    Neighbourhood? last;

    /// <summary>Axes of "4x8x8"; none for the empty text. Throws if it is something else.</summary>
    static int[] Shape(string grid)
    {
        if (grid.Length == 0) return [];
        string[] parts = grid.Split('x');
        if (parts.Length > 3 || !parts.All(p => int.TryParse(p, out int n) && n > 0)) throw new ArgumentException($"grid is '{grid}', expected up to three lengths such as 16x16, or nothing for a line");
        return [.. parts.Select(int.Parse)];
    }

    /// <summary>Who sees whom among n tokens.</summary>
    public Neighbourhood Of(int n)
    {
        if (last is { } made && made.Tokens == n) return made;
        int[] lengths = shape.Length == 0 ? [n] : shape;
        if (lengths.Aggregate(1, (a, b) => a * b) != n) throw new ArgumentException($"{n} tokens do not fill a grid of {grid}");
        return last = new([.. lengths.Select(length => { int d = Math.Min(dilation, length), most = Config.Causal ? window : Math.Min(window, length / d); return new GridAxis(length, most, Math.Min(stride, most), d, Config.Causal); })]);
    }

    protected override Tensor Attend(Heads h, Pass pass)
    {
        bool plain = pass.Reference || pass.Wants(Part.Scores) || pass.Wants(Part.Pattern);
        if (!h.Self) return Run(h, new Everything(), new(), plain, pass);
        (h, var kv) = Remember(h, StartKv, pass);
        if (kv is not null)
        {
            var o = Run(h, Line(), new(Start: h.Start, Positions: kv.Positions.ToArray(), Keys: kv.Count), plain, pass);
            kv.Attended(h.Q); kv.Settle();
            return o;
        }
        var (b, _, n, _) = h.Q.Shape; var near = Of(n);
        if (plain) return Run(h, new Neighbours(near), new(), true, pass);
        return Run(h with { Q = h.Q.Take(2, near.Order), K = h.K.Take(2, near.Order), V = h.V.Take(2, near.Order) }, near.Pattern, new(), false, pass).Take(2, near.Back);
    }

    KvState StartKv() => shape.Length > 1 || stride > 1 ? throw new NotSupportedException($"{GetType().Name} decodes along a line with stride 1, not on a grid of '{grid}' with stride {stride}") : new WindowKv((window - 1) * dilation + 1);
    DilatedWindow Line() => new(window, dilation);

    static Tensor Run<T>(Heads h, T pattern, Softmax.Call call, bool plain, Pass pass) where T : struct, IPattern => plain
        ? Softmax.Plain<Plain, T, SoftmaxWeights>(h.Q, h.K, h.V, new(), pattern, call, pass) : Softmax.Fused<Plain, T, SoftmaxWeights>(h.Q, h.K, h.V, new(), pattern, call);
}

/// <summary>
/// Neighbourhood attention: each token sees the window of tokens around it on every axis; at a border the window moves inwards and keeps its size. With a dilation d it sees every d-th token (§3).
/// Not here: extra keys that everyone sees, and a bias per offset, which the paper leaves to the model.
/// </summary>
[From("fna", "§3")]
[Traits(Traits.Causal | Traits.Bidirectional | Traits.Cross | Traits.Grouped | Traits.Incremental | Traits.Exact | Traits.Sparse | Traits.Linear | Traits.ConstantState)]
public sealed class NeighbourhoodAttention(AttentionConfig c, Weights w, int window = 15, int dilation = 1, string grid = "") : GridAttention(c, w, window, 1, dilation, grid);

/// <summary>
/// Neighbourhood attention with a stride: groups of so many tokens on each axis share the window of their leader, so that whole tiles see whole tiles (§3). Stride 1 is neighbourhood attention,
/// stride = window splits the grid into windows that see only themselves.
/// </summary>
[From("gna", "§3")]
[Traits(Traits.Causal | Traits.Bidirectional | Traits.Cross | Traits.Grouped | Traits.Exact | Traits.Sparse | Traits.Linear)]
public sealed class GeneralisedNeighbourhoodAttention(AttentionConfig c, Weights w, int window = 16, int stride = 8, int dilation = 1, string grid = "") : GridAttention(c, w, window, stride, dilation, grid);

/// <summary>The definition, token by token in the order of the grid.</summary>
public readonly record struct Neighbours(Neighbourhood Of) : IPattern
{
    public bool Allows(int query, int key) => Of.Sees(query, key);
    public Cover Tile(int q0, int q1, int k0, int k1) => Cover.Mixed;
}

/// <summary>Each token sees itself and every Dilation-th token before it, Width in all.</summary>
public readonly record struct DilatedWindow(int Width, int Dilation) : IPattern
{
    public bool Allows(int query, int key) => key <= query && (query - key) % Dilation == 0 && (query - key) / Dilation < Width;
    public Cover Tile(int q0, int q1, int k0, int k1) =>
        k0 > q1 || q0 - k1 > (long)(Width - 1) * Dilation ? Cover.None : Dilation == 1 && k1 <= q0 && q1 - k0 < Width ? Cover.All : Cover.Mixed;
}
