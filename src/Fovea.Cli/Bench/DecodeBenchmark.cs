using Fovea.Kernels;
namespace Fovea.Cli;

/// <summary>One new token over a long cache: as many key heads as query heads, and a quarter of them. What counts is how fast the cache is read, whatever format it is in.</summary>
abstract class CacheBenchmark(string format) : Benchmark($"decode-{format}", $"one token over a cache of 8192 (and 32768) tokens in {format}")
{
    protected const int Heads = 32, Dim = 128;

    public override void Run(Meter meter)
    {
        foreach (int groups in new[] { 32, 8 })
            foreach (int keys in meter.Sizes([8192], [32768]))
                meter.Row($"decode {format}", $"{Heads} heads on {groups}, {keys} keys, {Dim}", 4.0 * Heads * keys * Dim, 2.0 * groups * keys * RowBytes, Token(new(1, Heads, groups, 1, keys, Dim, Dim)));
    }

    /// <summary>Bytes that a cached row of Dim numbers takes.</summary>
    protected abstract double RowBytes { get; }
    /// <summary>What attends with one query per head to a filled cache.</summary>
    protected abstract Action Token(AttentionSize s);
}

sealed class DecodeBenchmark() : CacheBenchmark("f32")
{
    protected override double RowBytes => Dim * sizeof(Real);
    protected override Action Token(AttentionSize s)
    {
        long cache = (long)s.KvHeads * s.Keys * Dim;
        var q = Draw(Heads * Dim); var k = Draw(cache); var v = Draw(cache); var o = new Real[Heads * Dim]; var lse = new Real[Heads];
        return () => Flash.Forward(s, q, k, v, s.Keys - 1, default, new Plain(), new Causal(), o, lse);
    }
}

/// <summary>The same with keys and values that stay in a number format.</summary>
sealed class DecodeBenchmark<TFormat>(string format) : CacheBenchmark(format) where TFormat : struct, IWritableFormat
{
    protected override double RowBytes => Formats.RowBytes<TFormat>(Dim);
    protected override Action Token(AttentionSize s)
    {
        int rows = s.KvHeads * s.Keys;
        var q = Draw(Heads * Dim); var k = Draw<TFormat>(rows, Dim); var v = Draw<TFormat>(rows, Dim); var o = new Real[Heads * Dim]; var lse = new Real[Heads];
        return () => QuantisedAttention.Forward<Plain, Causal, TFormat, TFormat>(s, q, k, v, s.Keys - 1, default, new(), new(), o, lse);
    }
}

/// <summary>One row times a matrix of weights that stay in a number format, as in decoding.</summary>
sealed class GemvBenchmark<TFormat>(string format) : Benchmark($"gemv-{format}", $"one row times weights in {format}") where TFormat : struct, IWritableFormat
{
    public override void Run(Meter meter)
    {
        const int n = 4096, k = 4096;
        var w = Draw<TFormat>(n, k); var x = Draw(k); var y = new Real[n];
        meter.Row(Name.Replace('-', ' '), $"{n}×{k}", 2.0 * n * k, w.Length, () => Quantised.MatMul<TFormat>(w, n, k, x, 1, y));
    }
}
