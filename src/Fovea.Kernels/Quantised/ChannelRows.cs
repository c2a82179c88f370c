namespace Fovea.Kernels;

/// <summary>
/// Groups of rows [groups,Dim,<see cref="ChannelRows.Group"/>] in a format, channel after channel, with rows in float32 behind them. A struct, valid while the pages are. A group at a time is decoded for all query rows.
/// </summary>
readonly unsafe struct ChannelSource<TFormat>(byte** pages, int packed, float* last, int dim) : IDecodedSource where TFormat : struct, INumberFormat
{
    const int Group = ChannelRows.Group;

    public void Dots<TLanes, V>(int head, int first, int n, float* x, int count, float* to, nint step, float* scratch) where TLanes : struct, ILanes<V> where V : struct
    {
        using var own = Scratch.Open();
        float* group = own.Take((long)Group * dim), sums = own.Take((long)Group * count);
        for (int done = 0, some; done < n; done += some)
        {
            int row = first + done, at = row % Group;
            if (row >= packed) { some = n - done; DenseRows.Dots<TLanes, V>(last + (nint)(row - packed) * dim, dim, some, x, count, to + done, step); continue; }
            some = Math.Min(n - done, Group - at);
            Formats.DecodeRow<TFormat>(pages[row / Group], group, Group * dim);
            // Scores of a group are sums of its channels, each times a number of the query.
            new Span<float>(sums, Group * count).Clear();
            DenseRows.Sweep<TLanes, V>(group, Group, dim, x, dim, sums, count);
            for (int r = 0; r < count; r++) for (int j = 0; j < some; j++) to[r * step + done + j] += sums[r * Group + at + j];
        }
    }

    public void Sweep<TLanes, V>(int head, int first, int n, float* p, nint step, float* to, int count, float* scratch) where TLanes : struct, ILanes<V> where V : struct => throw new NotSupportedException("rows in groups of channels are keys: they are not summed");

    public void Decode(int first, int n, float* to)
    {
        using var own = Scratch.Open();
        float* group = own.Take((long)Group * dim);
        for (int done = 0, some; done < n; done += some, to += (nint)some * dim)
        {
            int row = first + done, at = row % Group;
            if (row >= packed) { some = n - done; new Span<float>(last + (nint)(row - packed) * dim, some * dim).CopyTo(new(to, some * dim)); continue; }
            some = Math.Min(n - done, Group - at);
            Formats.DecodeRow<TFormat>(pages[row / Group], group, Group * dim);
            for (int j = 0; j < some; j++) for (int c = 0; c < dim; c++) to[(nint)j * dim + c] = group[c * Group + at + j];
        }
    }
}

/// <summary>
/// Rows whose numbers are brought into a format channel by channel, <see cref="Group"/> rows at a time, so that a channel of large numbers costs the others nothing (2402.02750, §4): for keys. Rows behind the last whole group are float32;
/// <see cref="Pack"/> brings whole groups into the format. Single rows do not leave: groups from the first on, and rows from the last.
/// </summary>
public sealed unsafe class ChannelRows : CachedRows
{
    /// <summary>Rows of a group.</summary>
    public const int Group = 32;
    readonly NumberFormat format; readonly int dim; readonly PagePool pool; long[] pages = []; nint[] table = []; float[] last = []; int groups, rows;

    /// <summary>No rows; the format must be one that can be written and whose blocks divide a group.</summary>
    public ChannelRows(NumberFormat format, int dim, PagePool pool)
    {
        if (!format.Writable || Group % format.Block != 0) throw new ArgumentException($"{format.Name} cannot keep groups of {Group} numbers of a channel");
        (this.format, this.dim, this.pool) = (format, dim, pool);
    }

    /// <summary>Bytes of a group, which is a page.</summary>
    public static int PageBytes(NumberFormat format, int dim) => checked((int)(dim * format.RowBytes(Group)));
    public override int Dim => dim;
    public override long RowBytes => PageBytes(format, dim) / Group;
    public override int Count { get => groups * Group + rows; private protected set => throw new InvalidOperationException(); }
    public override long Bytes => (long)groups * pool.PageBytes + (long)rows * dim * sizeof(float);
    public override int Steady => Group - rows % Group;

    public override void Append(ReadOnlySpan<float> more)
    {
        int n = more.Length / dim;
        if (n * dim != more.Length) throw new ArgumentException($"{more.Length} numbers are not rows of {dim}");
        foreach (float x in more) if (!float.IsFinite(x)) throw new ArgumentException($"{format.Name}: a number is {x}, expected finite ones");
        if (last.Length < (rows + n) * dim)
        {
            // Pinned, so that kernels may read it where it lies.
            var grown = GC.AllocateUninitializedArray<float>(Math.Max((rows + n) * dim, Group * dim), pinned: true);
            last.AsSpan(0, rows * dim).CopyTo(grown); last = grown;
        }
        more.CopyTo(last.AsSpan(rows * dim)); rows += n;
    }

    public override void Pack()
    {
        if (rows < Group) return;
        int whole = rows / Group; var turned = new float[Group * dim];
        for (int g = 0; g < whole; g++)
        {
            var from = last.AsSpan(g * Group * dim, Group * dim);
            for (int j = 0; j < Group; j++) for (int c = 0; c < dim; c++) turned[c * Group + j] = from[j * dim + c];
            if (groups == pages.Length)
            {
                int size = Math.Max(4, 2 * groups); var grown = GC.AllocateUninitializedArray<nint>(size, pinned: true);
                table.CopyTo(grown, 0); table = grown; Array.Resize(ref pages, size);
            }
            long page = pool.Take(); (pages[groups], table[groups]) = (page, (nint)pool.At(page));
            format.Encode(turned, Group, new((byte*)table[groups], PageBytes(format, dim)));
            groups++;
        }
        rows -= whole * Group;
        // What a long prompt needed for a moment is given back.
        var rest = last.AsSpan(whole * Group * dim, rows * dim); var kept = last.Length > 2 * Group * dim ? GC.AllocateUninitializedArray<float>(Group * dim, pinned: true) : last;
        rest.CopyTo(kept); last = kept;
    }

    public override void Decode(int first, int n, Span<float> to)
    {
        Check(first, n);
        if (to.Length < n * dim) throw new ArgumentException($"there is room for {to.Length} numbers, {n} rows of {dim} are asked for");
        fixed (float* p = to) Use(new Decoder(first, n, p));
    }
    readonly struct Decoder(int first, int n, float* to) : ISourceUser { public void Run<TSource>(TSource source) where TSource : struct, IDecodedSource => source.Decode(first, n, to); }

    internal override void Use<TUser>(TUser user) { fixed (nint* t = table) fixed (float* p = last) { var opened = new Opened<TUser>(user, (byte**)t, groups * Group, p, dim); format.Use(ref opened); } }
    readonly struct Opened<TUser>(TUser user, byte** table, int packed, float* last, int dim) : IFormatUser where TUser : struct, ISourceUser { public void Run<TFormat>() where TFormat : struct, INumberFormat => user.Run(new ChannelSource<TFormat>(table, packed, last, dim)); }

    /// <summary>Lets go of whole groups from the first on; an <see cref="InvalidOperationException"/> if anything else is to leave.</summary>
    public override void Keep(ReadOnlySpan<int> keep)
    {
        Check(keep);
        int gone = Count - keep.Length;
        if (gone == 0) return;
        if (gone % Group != 0 || gone / Group > groups || keep.Length > 0 && keep[0] != gone) throw new InvalidOperationException($"keys in groups of {Group} tokens per channel leave by whole groups from the first on: {keep.Length} of {Count} were to stay, from {(keep.Length > 0 ? keep[0] : Count)} on");
        int g = gone / Group;
        for (int i = 0; i < g; i++) pool.Give(pages[i]);
        pages.AsSpan(g, groups - g).CopyTo(pages); table.AsSpan(g, groups - g).CopyTo(table); groups -= g;
    }

    /// <summary>Forgets the rows from count on; what stays of a group is then float32, with the values that it had in the format.</summary>
    public override void Cut(int count)
    {
        if (count < 0 || count > Count) throw new ArgumentOutOfRangeException(nameof(count), count, $"there are {Count} rows");
        int whole = Math.Min(groups, count / Group), more = count - whole * Group; float[]? opened = null;
        if (whole < groups && more > 0) { opened = GC.AllocateUninitializedArray<float>(Group * dim, pinned: true); Decode(whole * Group, more, opened); }
        for (int g = whole; g < groups; g++) pool.Give(pages[g]);
        (groups, rows, last) = (whole, more, opened ?? last);
    }

    public override ChannelRows Fork()
    {
        var other = new ChannelRows(format, dim, pool) { groups = groups, pages = pages.ToArray(), table = GC.AllocateUninitializedArray<nint>(table.Length, pinned: true) };
        table.CopyTo(other.table, 0);
        for (int g = 0; g < groups; g++) pool.Share(pages[g]);
        other.Append(last.AsSpan(0, rows * dim));
        return other;
    }
}
