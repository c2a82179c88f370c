using Fovea.Kernels;
namespace Fovea.Mechanisms;

/// <summary>Softmax attention of chosen query rows only: for each batch row and head the active rows are gathered, run through the fused kernel, and put back. The rest are zeros and cost nothing.</summary>
[From("moh", "§3.2")]
public static class ActiveRows
{
    /// <summary>Query index r stands at At[r]; keys at or before it are seen.</summary>
    internal readonly struct Before(int[] at) : IPattern
    {
        public bool Allows(int query, int key) => key <= at[query];
        public Cover Tile(int q0, int q1, int k0, int k1) => k1 <= at[q0] ? Cover.All : k0 > at[q1] ? Cover.None : Cover.Mixed;
    }

    /// <summary>
    /// q [B,H,N,D], k [B,G,R,D], v [B,G,R,E] of whose rows the first <paramref name="keys"/> count, active [B·H·N] → [B,H,N,E]. With causal, query 0 stands at start and keys at 0, 1, 2 … or
    /// at positions, ascending; otherwise every query sees every key. Gradients reach active rows only.
    /// </summary>
    public static Tensor Attend(Tensor q, Tensor k, Tensor v, bool[] active, bool causal, int start = 0, int? keys = null, int[]? positions = null)
    {
        var (b, h, n, d) = q.Shape; var (_, g, rows, _) = k.Shape; int e = v.Shape[3], m = keys ?? rows;
        Check.Shape(k, [b, g, rows, d]); Check.Shape(v, [b, g, rows, e]);
        if (active.Length != b * h * n) throw new ShapeException($"active has {active.Length} entries for q {q.Shape}");
        // Active rows of (b, h), one list after the other: from[x] is where the list of x begins. Few queries take another path through the kernel, which rounds differently; lists of a long
        // input are filled up to at least five, so that the choice of later tokens changes nothing. Rows that fill up are ~row.
        var from = new int[b * h + 1]; var list = new List<int>();
        for (int x = 0; x < b * h; x++)
        {
            for (int i = 0; i < n; i++) if (active[x * n + i]) list.Add(i);
            while (n > 4 && list.Count > from[x] && list.Count < from[x] + 5) list.Add(list[^1] < 0 ? list[^1] : ~list[^1]);
            from[x + 1] = list.Count;
        }
        Tensor qs = Tensor.Empty([list.Count, d]), os = Tensor.Empty([list.Count, e]), lse = Tensor.Empty([list.Count]).Exactly(), o = Tensor.Zeros([b, h, n, e]);
        for (int x = 0; x < b * h; x++)
        {
            for (int t = from[x]; t < from[x + 1]; t++) q.Span.Slice((x * n + Row(list[t])) * d, d).CopyTo(qs.Span[(t * d)..]);
            if (from[x] == from[x + 1]) continue;
            var (size, kv, at) = Part(x);
            Span<Real> qx = qs.Span[(from[x] * d)..], ox = os.Span[(from[x] * e)..], lx = lse.Span[from[x]..];
            if (causal) Flash.Forward(size, qx, Keys(k, kv), Keys(v, kv), 0, positions, new Plain(), new Before(at), ox, lx);
            else Flash.Forward(size, qx, Keys(k, kv), Keys(v, kv), 0, positions, new Plain(), new Everything(), ox, lx);
            for (int t = from[x]; t < from[x + 1]; t++) if (list[t] >= 0) os.Span.Slice(t * e, e).CopyTo(o.Span[((x * n + list[t]) * e)..]);
        }
        return Tensor.Record(o, [q, k, v], o =>
        {
            Tensor dos = Tensor.Zeros([list.Count, e]), dqs = Tensor.Zeros([list.Count, d]);
            for (int x = 0; x < b * h; x++)
            {
                for (int t = from[x]; t < from[x + 1]; t++) if (list[t] >= 0) o.Grad.Slice((x * n + list[t]) * e, e).CopyTo(dos.Span[(t * e)..]);
                if (from[x] == from[x + 1]) continue;
                var (size, kv, at) = Part(x); int f = from[x];
                Span<Real> qx = qs.Span[(f * d)..], ox = os.Span[(f * e)..], lx = lse.Span[f..], gx = dos.Span[(f * e)..], dqx = dqs.Span[(f * d)..];
                Span<Real> dk = k.Grad.Slice(kv * rows * d, rows * d), dv = v.Grad.Slice(kv * rows * e, rows * e);
                if (causal) Flash.Backward(size, qx, Keys(k, kv), Keys(v, kv), 0, positions, new Plain(), new Before(at), ox, lx, gx, dqx, dk, dv);
                else Flash.Backward(size, qx, Keys(k, kv), Keys(v, kv), 0, positions, new Plain(), new Everything(), ox, lx, gx, dqx, dk, dv);
                for (int t = f; t < from[x + 1]; t++) for (int c = 0; c < d && list[t] >= 0; c++) q.Grad[(x * n + list[t]) * d + c] += dqs.Span[t * d + c];
            }
        });

        (AttentionSize Size, int Kv, int[] At) Part(int x) => (new(1, 1, 1, from[x + 1] - from[x], m, d, e) { KeyRows = rows }, x / h * g + x % h / (h / g), [.. list[from[x]..from[x + 1]].Select(i => start + Row(i))]);
        static int Row(int entry) => entry < 0 ? ~entry : entry;
        static Span<Real> Keys(Tensor k, int kv) { int part = k.Shape[2] * k.Shape[3]; return k.Span.Slice(kv * part, part); }
    }
}
