using System.Numerics.Tensors;
namespace Fovea.Engine;

/// <summary>The entries with the largest scores q·k, exactly: what selection can reach at best. Every key is read, values of the chosen alone.</summary>
public sealed class TopK : KvSelector
{
    const int Rows = 64;
    public override int Block => 1;
    public override void AddScore(KvHead head, KeyBounds bounds, ReadOnlySpan<float> q, Span<float> score)
    {
        Span<float> keys = stackalloc float[Rows * Math.Min(q.Length, 128)];
        int rows = keys.Length / q.Length;
        if (rows == 0) { keys = new float[q.Length]; rows = 1; }
        for (int at = 0; at < score.Length; at += rows)
        {
            int n = Math.Min(rows, score.Length - at);
            head.DecodeKeys(at, n, keys);
            for (int i = 0; i < n; i++) score[at + i] += TensorPrimitives.Dot<float>(q, keys.Slice(i * q.Length, q.Length));
        }
    }
}
