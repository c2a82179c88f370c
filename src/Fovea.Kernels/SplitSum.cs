namespace Fovea.Kernels;

/// <summary>A small product with a long sum: parts of the sum are computed independently and then added in their order.</summary>
readonly unsafe struct SplitSum(Product p)
{
    const int Steps = 512, Most = 16;

    public void Run<TLanes, V>() where TLanes : struct, ILanes<V> where V : struct
    {
        int parts = Math.Min(Most, p.K / Steps), steps = (p.K + parts - 1) / parts, size = p.M * p.N; parts = (p.K + steps - 1) / steps;
        using var scratch = Scratch.Open(); Real* sums = scratch.Take((long)parts * size);
        Threads.For(parts, p.Size < Product.Alone ? parts : 1, new Part<TLanes, V>(p, steps, sums));
        Real* c = p.C;
        if (!p.Add) new Span<Real>(c, size).Clear();
        for (int x = 0; x < parts; x++) Panel.AddScaled<TLanes, V>(sums + (nint)x * size, c, 1, size);
    }

    readonly struct Part<TLanes, V>(Product p, int steps, Real* sums) : IRows where TLanes : struct, ILanes<V> where V : struct
    {
        public void Run(int from, int to)
        {
            for (int x = from; x < to; x++) p.Part(x * steps, Math.Min(steps, p.K - x * steps), sums + (nint)x * p.M * p.N).Run<TLanes, V>();
        }
    }
}
