using Fovea.Kernels;
namespace Fovea.Cli;

/// <summary>
/// One new token over a long cache: as many key heads as query heads, and a quarter of them. What counts is how fast the cache is read, whatever format it is in.
/// </summary>
/// <param name="bytes">Bytes that one cached number takes.</param>
abstract class CacheBenchmark(string format, double bytes) : Benchmark($"decode-{format}", $"one token over a cache of 8192 in {format}")
{
    protected const int Heads = 32, Dim = 128;

    public override void Run(Meter meter)
    {
        foreach (int groups in new[] { 32, 8 })
            foreach (int keys in meter.Sizes([8192], [2048]))
                meter.Row($"decode {format}", $"{Heads} heads on {groups}, {keys} keys, {Dim}", 4.0 * Heads * keys * Dim, 2.0 * groups * keys * Dim * bytes, Token(groups, keys));
    }

    /// <summary>What attends with one query per head to a filled cache of so many key heads and keys.</summary>
    protected abstract Action Token(int groups, int keys);
}

sealed class DecodeBenchmark() : CacheBenchmark("f32", sizeof(Real))
{
    protected override Action Token(int groups, int keys)
    {
        var s = new AttentionSize(1, Heads, groups, 1, keys, Dim, Dim);
        var q = Draw(Heads * Dim); var k = Draw((long)groups * keys * Dim); var v = Draw((long)groups * keys * Dim); var o = new Real[Heads * Dim]; var lse = new Real[Heads];
        return () => Flash.Forward(s, q, k, v, keys - 1, default, new Plain(), new Causal(), o, lse);
    }
}
