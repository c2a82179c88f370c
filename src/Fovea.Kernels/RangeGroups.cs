using System.Runtime.CompilerServices;
namespace Fovea.Kernels;

/// <summary>Keys [Low, High) that each row of a block of queries sees, and [Begin, End) that any row of a group does, where they stand side by side. A group that sees nothing begins behind all keys.</summary>
readonly unsafe struct RangeGroups(Scratch scratch, int rows)
{
    public readonly int* Low = scratch.TakeInts(rows), High = scratch.TakeInts(rows), Begin = scratch.TakeInts(rows), End = scratch.TakeInts(rows);

    /// <summary>Asks for n queries in groups of tall ones; → the keys from the first to the last that any of them sees.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public (int From, int To) Open<TPattern>(in FlashView<TPattern> view, int first, int n, int keys, int tall) where TPattern : struct, IPattern
    {
        int from = int.MaxValue, to = 0;
        for (int r = 0; r < n; r++)
        {
            int g = r / tall;
            if (r % tall == 0) (Begin[g], End[g]) = (int.MaxValue, 0);
            (Low[r], High[r]) = view.Range(first + r, keys);
            if (Low[r] < High[r]) (Begin[g], End[g], from, to) = (Math.Min(Begin[g], Low[r]), Math.Max(End[g], High[r]), Math.Min(from, Low[r]), Math.Max(to, High[r]));
        }
        return (from, to);
    }

    /// <summary>The rows from the first to the last group that sees any of a tile; false if there are none.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public bool Seen(int tile, int wide, int n, int tall, out int row, out int count)
    {
        int a = 0, b = (n + tall - 1) / tall;
        while (a < b && !(Begin[a] < tile + wide && End[a] > tile)) a++;
        while (a < b && !(Begin[b - 1] < tile + wide && End[b - 1] > tile)) b--;
        row = a * tall; count = Math.Min(n, b * tall) - row;
        return a < b;
    }
}
