using Fovea.Kernels;
using Fovea.Mechanisms;
namespace Fovea.Claims;

// Memories that are taught pairs.
static partial class Pavlovian
{
    static Func<Tensor, int, Real[]> Taught<T>(int d, Tensor keys, Tensor values, T rule, Real[] gate, int times) where T : struct, IRecurrence
    {
        var memory = new AssociativeMemory<T>(d, values.Shape[1], rule, gate);
        for (int time = 0; time < times; time++) for (int i = 0; i < keys.Shape[0]; i++) memory.Write(Row(keys, i), Row(values, i));
        return (x, i) => memory.Read(Row(x, i));
    }
    static Func<Tensor, int, Real[]> Hebb(int d, Tensor keys, Tensor values, int times) => Taught(d, keys, values, new DiagonalDecay(), [.. Enumerable.Repeat((Real)1, d)], times);
    static Func<Tensor, int, Real[]> Delta(ClaimRun run, int d, Tensor keys, Tensor values, int times) => run.Ablated ? Hebb(d, keys, values, times) : Taught(d, keys, values, new DeltaRule(), [(Real)0.5], times);
    static double BitError(Func<Tensor, int, Real[]> recall, Tensor keys, Tensor values)
    {
        double wrong = 0;
        for (int i = 0; i < keys.Shape[0]; i++) { var o = recall(keys, i); for (int c = 0; c < o.Length; c++) if (o[c] * Row(values, i)[c] <= 0) wrong++; }
        return wrong / values.Shape.Size;
    }
}
