using Fovea.Kernels;
namespace Fovea;

// Changes of shape and order. Reshape shares memory; everything else copies, so that a tensor is always contiguous.
public sealed partial class Tensor
{
    /// <summary>The same numbers with another shape; one dimension may be -1. Shares memory and gradient with this tensor.</summary>
    public Tensor Reshape(Shape shape)
    {
        int open = shape.AsSpan.IndexOf(-1);
        if (open >= 0)
        {
            int rest = shape.With(open, 1).Size;
            if (rest == 0 || Shape.Size % rest != 0) throw new ShapeException($"cannot reshape {Shape} to {shape}");
            shape = shape.With(open, Shape.Size / rest);
        }
        if (shape.Size != Shape.Size) throw new ShapeException($"cannot reshape {Shape} to {shape}");
        return shape == Shape ? this : new Tensor(shape, this);
    }

    /// <summary>Axis i of the result is axis order[i] of this.</summary>
    public Tensor Permute(params ReadOnlySpan<int> order)
    {
        if (order.Length != Shape.Rank) throw new ShapeException($"order has {order.Length} axes, the tensor is {Shape}");
        Span<int> dims = stackalloc int[Shape.MaxRank], back = stackalloc int[Shape.MaxRank];
        back.Fill(-1);
        for (int i = 0; i < order.Length; i++)
        {
            if ((uint)order[i] >= (uint)order.Length || back[order[i]] >= 0) throw new ShapeException($"[{string.Join(", ", order.ToArray())}] is not an order of {order.Length} axes");
            dims[i] = Shape[order[i]]; back[order[i]] = i;
        }
        var inverse = Shape.Of(back[..order.Length]);
        var x = this; var y = Empty(Shape.Of(dims[..order.Length]));
        Moves.Permute(Span, Shape.AsSpan, order, y.Span);
        return Record(y, [x], y => Moves.Permute(y.Grad, y.Shape.AsSpan, inverse.AsSpan, x.Grad, add: true));
    }

    /// <summary>[a, b, c, d] → [a, c, b, d]; its own inverse.</summary>
    public Tensor SwapMiddle() => Permute(0, 2, 1, 3);
    /// <summary>Swaps the last two axes.</summary>
    public Tensor Transpose() => Shape.Rank switch
    {
        2 => Permute(1, 0),
        3 => Permute(0, 2, 1),
        4 => Permute(0, 1, 3, 2),
        _ => throw new ShapeException($"Transpose needs 2 to 4 axes, the tensor is {Shape}"),
    };
    /// <summary>[B,N,H·D] → [B,H,N,D]</summary>
    public Tensor SplitHeads(int heads)
    {
        var (b, n, c) = Shape;
        if (heads < 1 || c % heads != 0) throw new ShapeException($"{c} channels do not split into {heads} heads");
        return Reshape([b, n, heads, c / heads]).SwapMiddle();
    }
    /// <summary>[B,H,N,D] → [B,N,H·D]</summary>
    public Tensor MergeHeads() { var (b, h, n, d) = Shape; return SwapMiddle().Reshape([b, n, h * d]); }

    /// <summary>Elements from..to (exclusive) of an axis.</summary>
    public Tensor Slice(int axis, int from, int to)
    {
        if (axis < 0) axis += Shape.Rank;
        if (from < 0 || to < from || to > Shape[axis]) throw new ShapeException($"{from}..{to} is not inside axis {axis} of {Shape}");
        if (from == 0 && to == Shape[axis]) return this;
        var x = this; var y = Empty(Shape.With(axis, to - from));
        var (outer, all, inner) = Around(Shape, axis);
        CopyPart(Span, y.Span, outer, all * inner, from * inner, (to - from) * inner, into: false);
        return Record(y, [x], y =>
        {
            int part = (to - from) * inner;
            for (int i = 0; i < outer; i++) Map.AddTo(y.Grad.Slice(i * part, part), x.Grad.Slice(i * all * inner + from * inner, part));
        });
    }
    /// <summary>Rows from..to of axis 1 of a [B,N,C] tensor.</summary>
    public Tensor Rows(int from, int to) => Slice(1, from, to);

    /// <summary>Joins tensors along an axis; all other dimensions must agree.</summary>
    public static Tensor Concat(int axis, params ReadOnlySpan<Tensor> parts)
    {
        if (parts.Length == 0) throw new ArgumentException("nothing to join");
        if (parts.Length == 1) return parts[0];
        var first = parts[0].Shape;
        if (axis < 0) axis += first.Rank;
        int total = 0;
        foreach (var p in parts)
        {
            if (p.Shape.Rank != first.Rank || p.Shape.With(axis, 0) != first.With(axis, 0)) throw new ShapeException($"cannot join {p.Shape} to {first} along axis {axis}");
            total += p.Shape[axis];
        }
        var y = Empty(first.With(axis, total));
        var (outer, _, inner) = Around(first, axis);
        int at = 0, row = total * inner;
        foreach (var p in parts)
        {
            int part = p.Shape[axis] * inner;
            CopyPart(p.Span, y.Span, outer, row, at, part, into: true);
            at += part;
        }
        var kept = parts.ToArray();
        return Record(y, parts, y =>
        {
            int at = 0;
            foreach (var p in kept)
            {
                int part = p.Shape[axis] * inner;
                if (p.RequiresGrad) for (int i = 0; i < outer; i++) Map.AddTo(y.Grad.Slice(i * row + at, part), p.Grad.Slice(i * part, part));
                at += part;
            }
        });
    }

    /// <summary>Joins tensors of one shape along a new leading axis.</summary>
    public static Tensor Stack(params ReadOnlySpan<Tensor> parts)
    {
        var views = new Tensor[parts.Length];
        for (int i = 0; i < parts.Length; i++) views[i] = parts[i].Reshape(Shape.Of([1, .. parts[i].Shape.AsSpan]));
        return Concat(0, views);
    }

    // Copies `part` numbers at offset `at` of each of `outer` rows of length `row`, out of x or into y.
    static void CopyPart(ReadOnlySpan<Real> x, Span<Real> y, int outer, int row, int at, int part, bool into)
    {
        for (int i = 0; i < outer; i++)
            if (into) x.Slice(i * part, part).CopyTo(y[(i * row + at)..]);
            else x.Slice(i * row + at, part).CopyTo(y[(i * part)..]);
    }
    static (int Outer, int Axis, int Inner) Around(Shape s, int axis)
    {
        int outer = 1, inner = 1;
        for (int i = 0; i < axis; i++) outer *= s[i];
        for (int i = axis + 1; i < s.Rank; i++) inner *= s[i];
        return (outer, s[axis], inner);
    }
}
