namespace Fovea;

// Einstein summation, for plain twins: clear first, fast second.
public sealed partial class Tensor
{
    /// <summary>
    /// "bhnd,bhmd->bhnm": one letter per axis; letters that are missing on the right are summed. One or two tensors; a letter stands once per tensor.
    /// Built from Permute, Sum and MatMul, so gradients flow.
    /// </summary>
    public static Tensor Einsum(string spec, params ReadOnlySpan<Tensor> xs)
    {
        string[] sides = spec.Split("->");
        string[] terms = sides[0].Split(',');
        if (sides.Length != 2 || terms.Length != xs.Length || xs.Length is < 1 or > 2) throw new ArgumentException($"'{spec}' does not describe {xs.Length} tensors; expected \"ab,bc->ac\"");
        string to = sides[1];
        for (int i = 0; i < xs.Length; i++)
        {
            if (terms[i].Length != xs[i].Shape.Rank) throw new ShapeException($"'{terms[i]}' names {terms[i].Length} axes, the tensor is {xs[i].Shape}");
            if (terms[i].Distinct().Count() != terms[i].Length) throw new ArgumentException($"'{terms[i]}' names an axis twice");
        }
        foreach (char c in to) if (!sides[0].Contains(c)) throw new ArgumentException($"'{c}' on the right of '{spec}' is not on the left");
        if (xs.Length == 1) return Reorder(Summed(xs[0], terms[0], to, out string left), left, to);

        var a = Summed(xs[0], terms[0], terms[1] + to, out string ta);
        var b = Summed(xs[1], terms[1], terms[0] + to, out string tb);
        string batch = string.Concat(ta.Where(c => tb.Contains(c) && to.Contains(c)));
        string inner = string.Concat(ta.Where(c => tb.Contains(c) && !to.Contains(c)));
        string rows = string.Concat(ta.Where(c => !tb.Contains(c))), cols = string.Concat(tb.Where(c => !ta.Contains(c)));
        int Size(string letters)
        {
            int n = 1;
            foreach (char c in letters)
            {
                int i = ta.IndexOf(c), j = tb.IndexOf(c);
                if (i >= 0 && j >= 0 && a.Shape[i] != b.Shape[j]) throw new ShapeException($"'{c}' is {a.Shape[i]} in {a.Shape} and {b.Shape[j]} in {b.Shape}");
                n *= i >= 0 ? a.Shape[i] : b.Shape[j];
            }
            return n;
        }
        int[] OutSizes() => [.. (batch + rows + cols).Select(c => ta.Contains(c) ? a.Shape[ta.IndexOf(c)] : b.Shape[tb.IndexOf(c)])];
        var x = Reorder(a, ta, batch + rows + inner).Reshape([Size(batch), Size(rows), Size(inner)]);
        var y = Reorder(b, tb, batch + inner + cols).Reshape([Size(batch), Size(inner), Size(cols)]);
        return Reorder(x.MatMul(y).Reshape(Shape.Of(OutSizes())), batch + rows + cols, to);
    }

    static Tensor Summed(Tensor x, string term, string keep, out string left)
    {
        for (int i = term.Length - 1; i >= 0; i--)
        {
            if (keep.Contains(term[i])) continue;
            x = x.Sum(i);
            int[] dims = [.. x.Shape.AsSpan[..i], .. x.Shape.AsSpan[(i + 1)..]];
            x = x.Reshape(Shape.Of(dims));
            term = term.Remove(i, 1);
        }
        left = term;
        return x;
    }
    static Tensor Reorder(Tensor x, string from, string to) => from == to ? x : x.Permute([.. to.Select(c => from.IndexOf(c))]);
}
