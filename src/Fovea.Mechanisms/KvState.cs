namespace Fovea.Mechanisms;

/// <summary>Keys and values of the past. What is kept is the business of the mechanism, or of a policy in Fovea.Engine.</summary>
public abstract class KvState : LayerState
{
    /// <summary>Adds k and v [B,G,N,·] whose first token stands at <paramref name="position"/>.</summary>
    public abstract void Append(Tensor k, Tensor v, int position);
    /// <summary>[B,G,R,D] with R ≥ Count rows per head, of which the first Count hold entries.</summary>
    public abstract Tensor Keys { get; }
    public abstract Tensor Values { get; }
    public abstract int Count { get; }
    /// <summary>Position of each entry, ascending: in the text, or inside the cache if <see cref="PositionsAtRead"/>.</summary>
    public abstract ReadOnlySpan<int> Positions { get; }
    /// <summary>
    /// True: <see cref="Positions"/> are places 0, 1, 2 … inside the cache, which change when entries leave. The mechanism then appends keys that have no positions in them,
    /// turns all of them at every read, and gives its queries the places of the entries appended last.
    /// </summary>
    public virtual bool PositionsAtRead => false;
    /// <summary>Told after each call which queries [B,H,N,D] looked at the entries; policies that score by attention override it.</summary>
    public virtual void Attended(Tensor q) { }
    /// <summary>Lets go of entries that no later token can see; called when the queries of a call have been answered.</summary>
    public virtual void Settle() { }
}

/// <summary>Keeps everything, in buffers that double when full.</summary>
public class GrowingKv : KvState
{
    Real[] k = [], v = []; int[] positions = [];
    int batch, groups, dim, valueDim, rows;

    public sealed override int Count => count;
    int count;
    public override ReadOnlySpan<int> Positions => Tokens;
    /// <summary>Position of each entry in the text, ascending.</summary>
    public ReadOnlySpan<int> Tokens => positions.AsSpan(0, count);
    public sealed override Tensor Keys => Tensor.Over(k, [batch, groups, rows, dim]);
    public sealed override Tensor Values => Tensor.Over(v, [batch, groups, rows, valueDim]);
    /// <summary>Bytes of the entries, not of the spare room.</summary>
    public sealed override long Bytes => (long)count * batch * groups * (dim + valueDim) * sizeof(Real);

    public sealed override void Append(Tensor newK, Tensor newV, int position)
    {
        var (b, g, n, d) = newK.Shape;
        if (rows == 0) (batch, groups, dim, valueDim) = (b, g, d, newV.Shape[3]);
        Check.Shape(newK, [batch, groups, n, dim]); Check.Shape(newV, [batch, groups, n, valueDim]);
        if (count + n > rows) Resize(Math.Max(count + n, Math.Max(16, 2 * rows)));
        Put(newK.Span, k, n, dim); Put(newV.Span, v, n, valueDim);
        for (int i = 0; i < n; i++) positions[count + i] = position + i;
        count += n;
    }

    void Put(ReadOnlySpan<Real> from, Real[] to, int n, int width)
    {
        for (int i = 0; i < batch * groups; i++) from.Slice(i * n * width, n * width).CopyTo(to.AsSpan((i * rows + count) * width));
    }
    void Resize(int newRows)
    {
        Real[] Grown(Real[] old, int width)
        {
            var a = new Real[batch * groups * newRows * width];
            for (int i = 0; i < batch * groups; i++) old.AsSpan(i * rows * width, count * width).CopyTo(a.AsSpan(i * newRows * width));
            return a;
        }
        (k, v) = (Grown(k, dim), Grown(v, valueDim));
        Array.Resize(ref positions, newRows);
        rows = newRows;
    }

    /// <summary>Keeps the entries with these indices, ascending, and forgets the rest.</summary>
    protected void Retain(ReadOnlySpan<int> keep)
    {
        for (int i = 0; i < batch * groups; i++)
            for (int j = 0; j < keep.Length; j++)
            {
                if (keep[j] == j) continue;
                k.AsSpan((i * rows + keep[j]) * dim, dim).CopyTo(k.AsSpan((i * rows + j) * dim));
                v.AsSpan((i * rows + keep[j]) * valueDim, valueDim).CopyTo(v.AsSpan((i * rows + j) * valueDim));
            }
        for (int j = 0; j < keep.Length; j++) positions[j] = positions[keep[j]];
        count = keep.Length;
    }
}

/// <summary>Keeps the first <paramref name="sinks"/> tokens and the last <paramref name="window"/> − 1, which is all that the next token can see besides itself.</summary>
public sealed class WindowKv(int window, int sinks = 0) : GrowingKv
{
    public override void Settle()
    {
        int last = Count == 0 ? 0 : Tokens[^1];
        var keep = new List<int>();
        for (int i = 0; i < Count; i++) if (Tokens[i] < sinks || Tokens[i] > last + 1 - window) keep.Add(i);
        if (keep.Count < Count) Retain(keep.ToArray());
    }
}

public static class MemoryOfKeys
{
    /// <summary>The key-value state of a layer: what the memory's owner supplies, else what the mechanism starts with.</summary>
    public static KvState Kv(this Memory m, Attention layer, Func<KvState> start) => m.Get(layer, () => (KvState?)m.StartKv(layer) ?? start());
}
