using System.Runtime.CompilerServices;
namespace Fovea.Kernels;

/// <summary>A product of large matrices: k is cut into slices; of each, what does not lie well is packed once for all threads, and then blocks of C are computed in any order.</summary>
readonly unsafe struct Blocked(Product p)
{
    // A block of A stays in L2.
    const int Rows = 96, Columns = 512, Least = 32;
    // Up to so many steps a tile is done so soon that C is better written row by row.
    const int Few = 128;
    // Rows that are so far apart are packed if their lines fall on each other in the cache.
    const int Apart = 512;
    // Numbers of a row that are packed together: in shorter pieces memory is not read ahead.
    const int Together = 128;

    public void Run<TLanes, V>() where TLanes : struct, ILanes<V> where V : struct
    {
        int tall = Micro.Rows<V>(), wide = 2 * TLanes.Count, down = Parts(p.M, tall), across = Parts(p.N, wide), rows = Parts(down, Parts(down, Math.Max(1, Rows / tall))), columns = Parts(across, Parts(across, Math.Max(1, Columns / wide)));
        while ((long)Parts(down, rows) * Parts(across, columns) < Least && (rows > 4 || columns > 4))
            if (columns * wide >= rows * tall && columns > 4 || rows <= 4) columns = (columns + 1) / 2; else rows = (rows + 1) / 2;
        int slice = Parts(p.K, Parts(p.K, Product.Slice<TLanes, V>()));
        bool packA = p.AStep != 1 || p.ARow > Apart && p.ARow % Apart == 0 && p.N > 4 * wide;
        using var scratch = Scratch.Open();
        Real* pa = packA ? scratch.Take((long)down * tall * Product.Pitch(slice)) : null, pb = scratch.Take((long)across * wide * Product.Pitch(slice));
        for (int at = 0; at < p.K; at += slice)
        {
            var part = new Part<TLanes, V>(p, at, Math.Min(slice, p.K - at), pa, pb, rows, columns);
            int groups = part.GroupsA + part.GroupsB;
            Threads.For(groups, p.Size < Product.Alone ? groups : Math.Max(1, groups / 64), new PackPart<TLanes, V>(part));
            Threads.For(part.Count, p.Size < Product.Alone ? part.Count : 1, part);
        }
    }

    static int Parts(int n, int size) => (n + size - 1) / size;

    /// <summary>One slice of k: packing, and the blocks of C.</summary>
    readonly struct Part<TLanes, V>(Product p, int at, int count, Real* pa, Real* pb, int rows, int columns) : IRows where TLanes : struct, ILanes<V> where V : struct
    {
        static int Tall => Micro.Rows<V>();
        static int Wide => 2 * TLanes.Count;
        int Across => Parts(p.N, Wide * columns);
        public int Count => Parts(p.M, Tall * rows) * Across;
        int GroupA => p.AStep == 1 ? Tall : Together / Tall * Tall;
        int GroupB => p.BColumn != 1 ? Wide : Math.Max(Wide, Together / Wide * Wide);
        public int GroupsA => pa is null ? 0 : Parts(p.M, GroupA);
        public int GroupsB => Parts(p.N, GroupB);

        public void Pack(int group)
        {
            int from;
            if (group < GroupsA) { from = group * GroupA; p.PackA<TLanes, V>(from, Math.Min(GroupA, p.M - from), at, count, pa + (nint)from * Product.Pitch(count), Tall); return; }
            from = (group - GroupsA) * GroupB; p.PackB<TLanes, V>(from, Math.Min(GroupB, p.N - from), at, count, pb + (nint)from * Product.Pitch(count), Wide);
        }

        public void Run(int from, int to) { for (int x = from; x < to; x++) Block(x / Across * rows * Tall, x % Across * columns * Wide); }

        void Block(int i, int j0)
        {
            int height = Math.Min(p.M - i, rows * Tall), j1 = Math.Min(p.N, j0 + columns * Wide); bool plus = p.Add || at > 0, packed = pa is not null;
            Real* a = packed ? pa + (nint)i * Product.Pitch(count) : p.A + i * p.ARow + at * p.AStep;
            nint aRow = packed ? 1 : p.ARow, aStep = packed ? Tall : p.AStep, tile = packed ? (nint)Tall * Product.Pitch(count) : Tall * p.ARow;
            if (count <= Few)
            {
                for (; height > 0; height -= Tall, i += Tall, a += tile)
                    for (int j = j0; j < j1; j += Wide)
                        Product.Strip<TLanes, V>(a, aRow, aStep, tile, Math.Min(Tall, height), pb + (nint)j * Product.Pitch(count), Wide, p.C + (nint)i * p.N + j, p.N, Math.Min(Wide, p.N - j), count, plus);
                return;
            }
            for (int j = j0; j < j1; j += Wide)
                Product.Strip<TLanes, V>(a, aRow, aStep, tile, height, pb + (nint)j * Product.Pitch(count), Wide, p.C + (nint)i * p.N + j, p.N, Math.Min(Wide, p.N - j), count, plus);
        }
    }

    readonly struct PackPart<TLanes, V>(Part<TLanes, V> part) : IRows where TLanes : struct, ILanes<V> where V : struct
    {
        public void Run(int from, int to) { for (int x = from; x < to; x++) part.Pack(x); }
    }
}
