using System.Numerics.Tensors;
namespace Fovea.Engine;

/// <summary>Keys with a small norm get much attention, so those stay (2406.11430, §3); positions do not change a norm, and no attention is needed.</summary>
[From("key-norm", "§3")]
public sealed class KeyNorm : KvPolicy
{
    const int Rows = 64;
    public override void Score(KvEntries head, Span<Real> score)
    {
        var keys = new Real[Rows * head.Dim];
        for (int at = 0; at < score.Length; at += Rows)
        {
            int n = Math.Min(Rows, score.Length - at);
            head.Keys(at, n, keys);
            for (int i = 0; i < n; i++) score[at + i] = -TensorPrimitives.Norm<Real>(keys.AsSpan(i * head.Dim, head.Dim));
        }
    }
}
