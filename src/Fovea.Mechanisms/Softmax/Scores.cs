using System.Numerics.Tensors;
using Fovea.Kernels;
namespace Fovea.Mechanisms;

/// <summary>s / T</summary>
public readonly record struct Temperature(Real T) : IScore
{
    public Real Of(Real raw, int head, int query, int key) => raw / T;
    public Real Slope(Real raw, int head, int query, int key) => 1 / T;
    public void Row(Span<Real> raw, int head, int query, int firstKey) => TensorPrimitives.Multiply(raw, 1 / T, raw);
    public void SlopeRow(ReadOnlySpan<Real> raw, Span<Real> gradient, int head, int query, int firstKey) => TensorPrimitives.Multiply(gradient, 1 / T, gradient);
}

/// <summary>s + b_h, with one bias per head that is not learned; <see cref="RelativeBias"/> learns one per distance.</summary>
public readonly record struct HeadBias(Real[] B) : IScore
{
    public Real Of(Real raw, int head, int query, int key) => raw + B[head];
    public Real Slope(Real raw, int head, int query, int key) => 1;
    public void Row(Span<Real> raw, int head, int query, int firstKey) => TensorPrimitives.Add(raw, B[head], raw);
    public void SlopeRow(ReadOnlySpan<Real> raw, Span<Real> gradient, int head, int query, int firstKey) { }
}

/// <summary>max(0, s), each entry alone; slope 0 at 0.</summary>
public readonly struct ReluWeights : INormaliser
{
    public static void Weights(Span<Real> logits) => ScoreRows.Apply<Relu>(logits);
    public static void Slope(ReadOnlySpan<Real> weights, Span<Real> gradient) => ScoreRows.SlopeOf<Relu>(weights, gradient);
}
