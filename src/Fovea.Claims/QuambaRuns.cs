using Fovea.Kernels;
using Fovea.Mechanisms;
using Fovea.Models;
namespace Fovea.Claims;

/// <summary>What the claims of Quamba compare with.</summary>
static class QuambaRuns
{
    /// <summary>Largest differences of the fast transform from the Hadamard matrix, and of its square from the identity, 64 numbers.</summary>
    public static (double Fast, double Orthonormal) HadamardErrors()
    {
        double fast = 0, orthonormal = 0; const int n = 64;
        for (int j = 0; j < n; j++)
        {
            var x = new Real[n]; x[j] = 1; Rotation.Transform(x, 1, n);
            for (int i = 0; i < n; i++) fast = Math.Max(fast, Math.Abs(x[i] - (System.Numerics.BitOperations.PopCount((uint)(i & j)) % 2 == 0 ? 1 : -1) / Math.Sqrt(n)));
            Rotation.Transform(x, 1, n);
            for (int i = 0; i < n; i++) orthonormal = Math.Max(orthonormal, Math.Abs(x[i] - (i == j ? 1 : 0)));
        }
        return (fast, orthonormal);
    }

    /// <summary>Integer sums that differ from plain loops.</summary>
    public static int WrongSums(Rng rng)
    {
        int wrong = 0;
        foreach (var (m, k, o) in new[] { (1, 1, 1), (3, 37, 7), (5, 200, 70) })
        {
            sbyte[] a = [.. Enumerable.Range(0, m * k).Select(i => (sbyte)(rng["a"].Below(i, 255) - 127))], b = [.. Enumerable.Range(0, o * k).Select(i => (sbyte)(rng["b"].Below(i, 255) - 127))]; var sums = new int[m * o];
            IntegerGemm.NT(a, b, sums, m, k, o);
            for (int i = 0; i < m * o; i++) { int sum = 0; for (int x = 0; x < k; x++) sum += a[i / o * k + x] * b[i % o * k + x]; if (sum != sums[i]) wrong++; }
        }
        return wrong;
    }

    /// <summary>Relative error of what two layers write after the gate if only the scan's input is rounded, each on the exact stream.</summary>
    public static double ScanError(DecoderModel model, Quamba recipe, Batch b, double? percentile)
    {
        double error = 0, norm = 0; var exact = new Real[2][];
        foreach (bool round in (bool[])[false, true])
        {
            for (int i = 0; i < 2; i++)
            {
                int layer = i;
                ((MambaAttention)model.Blocks[i].Mixer).Watch = (place, x) =>
                {
                    // Both layers read the exact stream: the output goes on as it was.
                    if (place == MambaPlace.Output && !round) exact[layer] = x.Span.ToArray();
                    if (place == MambaPlace.Output && round) { error += Math.Pow(System.Numerics.Tensors.TensorPrimitives.Distance<Real>(x.Span, exact[layer]), 2); norm += System.Numerics.Tensors.TensorPrimitives.SumOfSquares<Real>(exact[layer]); return Tensor.From(exact[layer], x.Shape); }
                    return place == MambaPlace.Scan && round ? Quamba.Rounded(x, recipe.Largest(layer, MambaPlace.Scan, percentile)) : x;
                };
            }
            using var scope = Scope.NoGrad(); model.Forward(b.Inputs, b.Size, Pass.Eval);
        }
        return Math.Sqrt(error / norm);
    }
}
