using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
namespace Fovea.Kernels;

/// <summary>Work on ranges of rows, written once for every register width; see <see cref="WideRows"/>.</summary>
internal interface IWideRows { void Run<TLanes, V>(int from, int to) where TLanes : struct, ILanes<V> where V : struct; }

/// <summary>A register width; all but Widest exist for tests, which run every width on every machine.</summary>
internal enum Width { Widest, One, Bits128, Bits256, Bits512 }

/// <summary><see cref="Threads.For"/> for bodies that are generic in the register width.</summary>
internal static class WideRows
{
    public static void For<T>(int rows, int grain, in T body, Width width = Width.Widest) where T : struct, IWideRows => Threads.For(rows, grain, new Body<T>(body, width));

    /// <summary>Rows of <paramref name="cols"/> numbers that make one task: about 16 k numbers, whatever the machine.</summary>
    public static int Grain(int cols) => Math.Max(1, 16384 / Math.Max(1, cols));

    /// <summary>As <see cref="Grain"/>, but at most 64 tasks, for work that keeps one partial sum per task.</summary>
    public static int Block(int rows, int cols) => Math.Max(Grain(cols), (rows + 63) / 64);

    readonly struct Body<T>(T body, Width width) : IRows where T : struct, IWideRows
    {
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Run(int from, int to)
        {
            if (width == Width.Widest)
            {
                if (Vector512.IsHardwareAccelerated) body.Run<Lanes512, Vector512<Real>>(from, to);
                else if (Vector256.IsHardwareAccelerated) body.Run<Lanes256, Vector256<Real>>(from, to);
                else if (Vector128.IsHardwareAccelerated) body.Run<Lanes128, Vector128<Real>>(from, to);
                else body.Run<Lanes1, Real>(from, to);
            }
            else if (width == Width.Bits512) body.Run<Lanes512, Vector512<Real>>(from, to);
            else if (width == Width.Bits256) body.Run<Lanes256, Vector256<Real>>(from, to);
            else if (width == Width.Bits128) body.Run<Lanes128, Vector128<Real>>(from, to);
            else body.Run<Lanes1, Real>(from, to);
        }
    }
}
