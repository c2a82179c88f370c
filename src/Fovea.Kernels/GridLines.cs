using System.Numerics;
using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
namespace Fovea.Kernels;

/// <summary>
/// Boxes over tokens that are numbered line by line along the last axis of their grid: what a query sees of a line stands side by side. Attention is cut into blocks of some columns of some lines of queries, and each
/// block goes through the lines of keys that it sees; of a line, its columns see little more than each of them does.
/// </summary>
sealed class GridLines
{
    /// <summary>Queries of a block.</summary>
    const int Rows = 256;
    /// <summary>What it costs to pack one key, in pairs of query and key.</summary>
    const double Packing = 8;
    readonly Real[][] place, low, high;
    // Of all queries of a column: where what they see of a line begins at the earliest and ends at the latest.
    readonly int[] columnLow, columnHigh;
    readonly int slab, deep;
    readonly Plan?[] plans = new Plan?[8];

    GridLines(Real[][] place, Real[][] low, Real[][] high, int length)
    {
        (this.place, this.low, this.high, Length, Lines) = (place, low, high, length, place[0].Length / length);
        columnLow = new int[length]; columnHigh = new int[length];
        Array.Fill(columnLow, length);
        for (int i = 0; i < place[0].Length; i++)
        {
            ref int first = ref columnLow[i % length], end = ref columnHigh[i % length];
            first = Math.Min(first, Math.Clamp((int)low[^1][i], 0, length)); end = Math.Max(end, Math.Clamp((int)high[^1][i], 0, length));
        }
        // Lines of one block agree on all axes but the last two, as far as these change at regular distances.
        slab = Lines;
        for (int a = 0; a < place.Length - 2; a++) for (int line = 1; line < Lines; line++) if (place[a][line * length] != place[a][0]) { slab = Math.Min(slab, line); break; }
        if (Lines % slab != 0) slab = Lines;
        // How many lines that follow each other a query in the middle sees.
        int middle = Lines / 2 * length + length / 2;
        for (int line = 0, run = 0; line < Lines; line++) deep = Math.Max(deep, run = Sees(middle, line) ? run + 1 : 0);
        deep = Math.Max(deep, 1);
    }

    /// <summary>Null if there is one axis or the tokens are numbered otherwise.</summary>
    public static GridLines? Of(Real[][] place, Real[][] low, Real[][] high)
    {
        int axes = place.Length, n = axes == 0 ? 0 : place[0].Length, length = 0;
        if (axes < 2 || n == 0) return null;
        while (length < n && place[^1][length] == length && Same(length, 0)) length++;
        if (length == 0 || n % length != 0) return null;
        for (int i = 0; i < n; i++) if (place[^1][i] != i % length || !Same(i, i / length * length)) return null;
        return new(place, low, high, length);

        bool Same(int x, int y)
        {
            for (int a = 0; a < axes - 1; a++) if (place[a][x] != place[a][y]) return false;
            return true;
        }
    }

    /// <summary>Tokens of a line, and how many lines there are.</summary>
    public int Length { get; }
    public int Lines { get; }

    /// <summary>The blocks for registers of so many numbers, found once.</summary>
    public Plan For(int lanes) => plans[BitOperations.Log2((uint)lanes)] ??= new(this, CutFor(lanes), lanes);

    // The number of columns that makes the places that blocks of them see fewest, counting what packing the keys and rows left over cost.
    Cut CutFor(int lanes)
    {
        int columns = 1, most = 0; double best = double.MaxValue;
        for (int c = 1; c <= Math.Min(Length, Rows / 2); c++)
        {
            double cost = 0; int widest = 0, tall = Math.Min(slab, Math.Max(1, Rows / c));
            // A line of keys is packed once for all lines of a block that see it.
            double packing = Packing / Math.Min(tall, deep);
            for (int x = 0; x < Length; x += c)
            {
                int count = Math.Min(c, Length - x), places = (Extent(x, count).Width + lanes - 1) / lanes * lanes;
                cost += (count + packing) * places; widest = Math.Max(widest, places);
            }
            // Groups of few rows are slower.
            cost *= 1 + (c % 4 == 0 ? 0.15 : c % 2 == 0 ? 0.2 : 0.3) / c;
            if (cost < best) (best, columns, most) = (cost, c, widest);
        }
        int high = Math.Min(slab, Math.Max(1, Rows / columns)), down = (slab + high - 1) / high;
        return new(columns, (slab + down - 1) / down, slab, down, (Length + columns - 1) / columns, Lines / slab, most);
    }

    (int First, int Width) Extent(int column, int count)
    {
        int first = Length, end = 0;
        for (int x = column; x < Math.Min(Length, column + count); x++) { first = Math.Min(first, columnLow[x]); end = Math.Max(end, columnHigh[x]); }
        return (first, Math.Max(0, end - first));
    }

    /// <summary>Blocks of Columns × Tall queries: Down of them in a slab of lines, Across in a line. Most is the largest number of places of one.</summary>
    public readonly record struct Cut(int Columns, int Tall, int Slab, int Down, int Across, int Slabs, int Most)
    {
        public int Blocks => Slabs * Down * Across;
        public int Rows => Columns * Tall;
        /// <summary>Lines of keys that have about so many places, and room for them in whole tiles.</summary>
        public (int Lines, int Room) Window(int places, int wide)
        {
            int lines = Math.Max(1, places / Math.Max(1, Most));
            return (lines, (lines * Most + wide - 1) / wide * wide);
        }
    }

    /// <summary>Whether a query sees anything of a line, as far as the axes across lines say.</summary>
    public bool Sees(int query, int line)
    {
        for (int a = 0; a < place.Length - 1; a++) if (!(place[a][line * Length] >= low[a][query] && place[a][line * Length] < high[a][query])) return false;
        return true;
    }

    /// <summary>All blocks, band by band from column to column.</summary>
    public sealed unsafe class Plan
    {
        public readonly Cut Cut;
        public readonly Block[] Blocks;
        public readonly Group[] Groups;
        /// <summary>The most blocks of a group, and the most rows.</summary>
        public readonly int Together, Rows;
        // 0, 1, 2 …: what places are compared with.
        readonly Real[] numbers;

        public Plan(GridLines grid, Cut cut, int lanes)
        {
            (Cut, Blocks, numbers) = (cut, new Block[cut.Blocks], GC.AllocateUninitializedArray<Real>(Math.Max(1, cut.Most), pinned: true));
            for (int x = 0; x < cut.Most; x++) numbers[x] = x;
            for (int x = 0; x < Blocks.Length; x++) Blocks[x] = new(grid, cut, lanes, x, numbers);
            var groups = new List<Group>();
            for (int first = 0, last; first < Blocks.Length; first = last)
            {
                int rows = Blocks[first].Rows;
                for (last = first + 1; last < Blocks.Length && Blocks[last].Origin == Blocks[first].Origin && Blocks[last].Width == Blocks[first].Width && (rows += Blocks[last].Rows) <= GridLines.Rows; last++) ;
                groups.Add(new(Blocks, first, last));
            }
            Groups = [.. groups]; Together = groups.Max(g => g.Last - g.First); Rows = groups.Max(g => Blocks[g.First..g.Last].Sum(b => b.Rows));
        }
    }

    /// <summary>Blocks [First, Last) that see the same columns: their keys are packed once. Lines are those that any of them sees.</summary>
    public readonly unsafe struct Group
    {
        readonly int[] index;
        public readonly int First, Last; public readonly int[] Lines;

        public Group(Block[] blocks, int first, int last)
        {
            (First, Last) = (first, last);
            var seen = new SortedSet<int>();
            for (int b = first; b < last; b++) for (int i = 0; i < blocks[b].Seen; i++) seen.Add(blocks[b].Key[i]);
            Lines = [.. seen]; index = seen.Count == 0 ? [] : new int[seen.Max - seen.Min + 1];
            for (int i = 0; i < Lines.Length; i++) index[Lines[i] - Lines[0]] = i;
        }

        /// <summary>Where a line stands among those that are seen.</summary>
        public int Index(int line) => index[line - Lines[0]];
    }

    /// <summary>
    /// One block: its queries are Columns columns from FirstColumn on of Lines lines from FirstLine on, row by row. They see Width keys from column Origin on of Seen lines, which take Places places in whole registers.
    /// </summary>
    public readonly unsafe struct Block
    {
        readonly GridLines grid;
        // Key, From, To, Low and High; what each line of queries sees of each line of keys. Pinned.
        readonly int[] ints; readonly byte[] covers;
        public readonly int FirstLine, Lines, FirstColumn, Columns, Origin, Width, Places, Seen;
        /// <summary>Of each line that is seen: its number, and the lines [From, To) of queries that see it.</summary>
        public readonly int* Key, From, To;
        /// <summary>What each row sees of a line that it sees: places [Low, High), the same for all lines.</summary>
        public readonly int* Low, High;
        /// <summary>0, 1, 2 …: to compare places with.</summary>
        public readonly Real* Number;

        public Block(GridLines grid, in Cut cut, int lanes, int block, Real[] numbers)
        {
            int bands = cut.Slabs * cut.Down, band = block % bands, across = block / bands, top = band % cut.Down * cut.Tall, axes = grid.place.Length - 1, length = grid.Length;
            (this.grid, FirstLine, Lines, FirstColumn) = (grid, band / cut.Down * cut.Slab + top, Math.Max(0, Math.Min(cut.Tall, cut.Slab - top)), across * cut.Columns);
            Columns = Math.Min(cut.Columns, length - FirstColumn);
            int[] low = new int[Rows], high = new int[Rows]; int first = length, end = 0;
            for (int r = 0; r < Rows; r++)
            {
                int t = Token(r);
                low[r] = Math.Clamp((int)grid.low[^1][t], 0, length); high[r] = Math.Clamp((int)grid.high[^1][t], 0, length);
                if (low[r] < high[r]) { first = Math.Min(first, low[r]); end = Math.Max(end, high[r]); }
            }
            Origin = Math.Min(first, length - 1); Width = Math.Max(0, end - Origin); Places = (Width + lanes - 1) / lanes * lanes;
            var seen = Width == 0 ? [] : See(grid, Lines, Columns, FirstLine * length + FirstColumn);
            Seen = seen.Count;
            ints = GC.AllocateUninitializedArray<int>(3 * Seen + 2 * Rows + 1, pinned: true); covers = GC.AllocateUninitializedArray<byte>(Seen * Lines + 1, pinned: true);
            Key = (int*)Unsafe.AsPointer(ref ints[0]); From = Key + Seen; To = From + Seen; Low = To + Seen; High = Low + Rows; Number = (Real*)Unsafe.AsPointer(ref numbers[0]);
            for (int i = 0; i < Seen; i++)
            {
                var (line, cover) = seen[i];
                (Key[i], From[i], To[i]) = (line, cover.AsSpan().IndexOfAnyExcept((byte)Kernels.Cover.None), cover.AsSpan().LastIndexOfAnyExcept((byte)Kernels.Cover.None) + 1);
                cover.CopyTo(covers, i * Lines);
            }
            for (int r = 0; r < Rows; r++) (Low[r], High[r]) = low[r] < high[r] ? (low[r] - Origin, high[r] - Origin) : (0, 0);
        }

        // The lines of keys that any of these lines of queries sees, and what each of them sees of it.
        static List<(int Line, byte[] Cover)> See(GridLines grid, int lines, int columns, int token)
        {
            int axes = grid.place.Length - 1, length = grid.Length; var extremes = new (Real LeastLow, Real Low, Real High, Real MostHigh)[lines * axes]; var seen = new List<(int, byte[])>();
            for (int j = 0; j < lines; j++)
                for (int a = 0; a < axes; a++)
                {
                    ReadOnlySpan<Real> low = grid.low[a].AsSpan(token + j * length, columns), high = grid.high[a].AsSpan(token + j * length, columns);
                    extremes[a * lines + j] = (TensorPrimitives.Min(low), TensorPrimitives.Max(low), TensorPrimitives.Min(high), TensorPrimitives.Max(high));
                }
            for (int line = 0; line < grid.Lines; line++)
            {
                byte[]? cover = null;
                for (int j = 0; j < lines; j++)
                {
                    var all = Kernels.Cover.All;
                    for (int a = 0; a < axes && all != Kernels.Cover.None; a++)
                    {
                        Real p = grid.place[a][line * length]; var e = extremes[a * lines + j];
                        if (!(p >= e.LeastLow && p < e.MostHigh)) all = Kernels.Cover.None;
                        else if (!(p >= e.Low && p < e.High)) all = Kernels.Cover.Mixed;
                    }
                    if (all == Kernels.Cover.None) continue;
                    if (cover is null) { cover = new byte[lines]; Array.Fill(cover, (byte)Kernels.Cover.None); seen.Add((line, cover)); }
                    cover[j] = (byte)all;
                }
            }
            return seen;
        }

        public int Rows => Lines * Columns;
        public int Token(int row) => (FirstLine + row / Columns) * grid.Length + FirstColumn + row % Columns;
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public Cover Cover(int seen, int line) => (Cover)covers[seen * Lines + line];
        /// <summary>Whether this row sees a line of keys that is seen.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public bool Sees(int seen, int row) => Cover(seen, row / Columns) switch { Kernels.Cover.All => true, Kernels.Cover.None => false, _ => grid.Sees(Token(row), Key[seen]) };

        /// <summary>Fills the places that a row does not see of some lines that follow each other from at on.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Hide<TLanes, V>(Real* at, int lines, int row, Real value) where TLanes : struct, ILanes<V> where V : struct
        {
            int w = TLanes.Count, low = Low[row], high = High[row], open = Math.Min(Places, (low + w - 1) / w * w), shut = Math.Max(open, high / w * w); nint places = Places; V l = TLanes.Set(low), h = TLanes.Set(high), v = TLanes.Set(value);
            for (int x = open > 0 ? 0 : shut; x < Places; x = x + w == open ? shut : x + w)
            {
                V i = TLanes.Load(Number + x); Real* p = at + x;
                for (int line = 0; line < lines; line++, p += places) TLanes.Store(p, TLanes.IfLess(i, l, v, TLanes.IfLess(i, h, TLanes.Load(p), v)));
            }
        }
    }
}
