namespace Fovea.Kernels;

/// <summary>What <see cref="LocalLinear"/> does for a few queries of one head at a time: passes over tiles of keys, turned so that the keys of a tile are the lanes.</summary>
internal unsafe struct LocalBlock
{
    /// <summary>Queries that share a turned tile, and keys of a tile.</summary>
    public const int Queries = 16, Tile = 64;
    const Real Log2E = (Real)1.4426950408889634, Ln2 = (Real)0.6931471805599453;

    readonly LocalLinearSize z; readonly int d;
    readonly Real* turned, weights, other, products, mean, right, x, r, direction, image, sums;
    readonly Real* lse2, ridge, residual, start;
    Real* q, k; int* limits; int n, most;
    /// <summary>Multiply-adds since the block was started.</summary>
    public long MultiplyAdds;

    public LocalBlock(in LocalLinearSize z, in Scratch scratch)
    {
        this.z = z; d = z.Dim;
        turned = scratch.Take((long)d * Tile); weights = scratch.Take(Tile); other = scratch.Take(Tile); products = scratch.Take(Tile);
        long all = (long)Queries * d;
        mean = scratch.Take(all); right = scratch.Take(all); x = scratch.Take(all); r = scratch.Take(all); direction = scratch.Take(all); image = scratch.Take(all); sums = scratch.Take(Queries);
        lse2 = scratch.Take(Queries); ridge = scratch.Take(Queries); residual = scratch.Take(Queries); start = scratch.Take(Queries);
    }

    public readonly Real* Query(int i) => q + (long)i * d;
    public readonly int Limit(int i) => limits[i];
    public readonly int Most => most;
    public readonly Real* Mean(int i) => mean + (long)i * d;
    public readonly Real* Right(int i) => right + (long)i * d;
    public readonly Real* Solution(int i) => x + (long)i * d;
    public readonly Real* Turned => turned;
    public readonly Real* Weight => weights;
    public readonly Real RidgeOf(int i) => ridge[i];

    public void Start(int n, Real* q, Real* k, int* limits)
    {
        this.n = n; this.q = q; this.k = k; this.limits = limits; most = 0; MultiplyAdds = 0;
        for (int i = 0; i < n; i++) most = Math.Max(most, limits[i]);
    }

    /// <summary>λ of each query; after the log-sum-exps are known.</summary>
    public readonly void Ridge(Real lambda) { for (int i = 0; i < n; i++) ridge[i] = z.Raw ? lambda * Real.Exp(-lse2[i] * Ln2) : lambda; }

    /// <summary>Takes log-sum-exps from a forward pass.</summary>
    public readonly void Known(Real* lse) { for (int i = 0; i < n; i++) lse2[i] = lse[i] * Log2E; }

    /// <summary>Keys first … first + 63 as lanes, zeros where there are none.</summary>
    public readonly void Turn(int first)
    {
        int count = Math.Min(Tile, most - first);
        for (int c = 0; c < d; c++) { Real* to = turned + (long)c * Tile; for (int j = 0; j < count; j++) to[j] = k[(long)(first + j) * d + c]; for (int j = count; j < Tile; j++) to[j] = 0; }
    }

    /// <summary>to_j = k_j·x − shift for the keys of the turned tile.</summary>
    public readonly void Dots<TLanes, V>(Real* x, Real shift, Real* to) where TLanes : struct, ILanes<V> where V : struct
    {
        for (int j = 0; j < Tile; j += 4 * TLanes.Count)
        {
            V a = TLanes.Set(-shift), b = a, e = a, f = a; int w = TLanes.Count;
            for (int c = 0; c < d; c++)
            {
                Real* row = turned + (long)c * Tile + j; V y = TLanes.Set(x[c]);
                a = TLanes.Fma(y, TLanes.Load(row), a); b = TLanes.Fma(y, TLanes.Load(row + w), b); e = TLanes.Fma(y, TLanes.Load(row + 2 * w), e); f = TLanes.Fma(y, TLanes.Load(row + 3 * w), f);
            }
            TLanes.Store(to + j, a); TLanes.Store(to + j + w, b); TLanes.Store(to + j + 2 * w, e); TLanes.Store(to + j + 3 * w, f);
        }
    }

    /// <summary>to_c += Σ_j weight_j k_j,c over the turned tile.</summary>
    public readonly void AddSums<TLanes, V>(Real* weight, Real* to) where TLanes : struct, ILanes<V> where V : struct
    {
        int w = TLanes.Count;
        for (int c = 0; c < d; c++)
        {
            Real* row = turned + (long)c * Tile; V sum = TLanes.Set(0);
            for (int j = 0; j < Tile; j += w) sum = TLanes.Fma(TLanes.Load(weight + j), TLanes.Load(row + j), sum);
            to[c] += TLanes.Sum(sum);
        }
    }

    public static Real Total<TLanes, V>(Real* a) where TLanes : struct, ILanes<V> where V : struct
    {
        V sum = TLanes.Set(0);
        for (int j = 0; j < Tile; j += TLanes.Count) sum = TLanes.Add(sum, TLanes.Load(a + j));
        return TLanes.Sum(sum);
    }

    static Real Dot(Real* a, Real* b, int n) { Real sum = 0; for (int c = 0; c < n; c++) sum += a[c] * b[c]; return sum; }

    /// <summary>p_j of query i for the turned tile, 0 for keys that it does not see.</summary>
    public readonly void Softmaxed<TLanes, V>(int i, int first) where TLanes : struct, ILanes<V> where V : struct
    {
        Dots<TLanes, V>(Query(i), 0, weights);
        V scale = TLanes.Set(z.Scale * Log2E), minus = TLanes.Set(-lse2[i]);
        for (int j = 0; j < Tile; j += TLanes.Count) TLanes.Store(weights + j, TLanes.Exp2(TLanes.Min(TLanes.Set(1), TLanes.Fma(scale, TLanes.Load(weights + j), minus))));
        for (int j = Math.Max(0, limits[i] - first); j < Tile; j++) weights[j] = 0;
    }

    /// <summary>Log-sum-exps (natural) of the scores, and μ.</summary>
    public void Softmax<TLanes, V>(Real* lse) where TLanes : struct, ILanes<V> where V : struct
    {
        for (int i = 0; i < n; i++) { lse2[i] = Real.NegativeInfinity; sums[i] = 0; new Span<Real>(Mean(i), d).Clear(); }
        for (int first = 0; first < most; first += Tile)
        {
            Turn(first);
            for (int i = 0; i < n; i++)
            {
                int seen = Math.Min(Tile, limits[i] - first); if (seen <= 0) continue;
                Dots<TLanes, V>(Query(i), 0, weights); Real top = lse2[i], scale = z.Scale * Log2E;
                for (int j = 0; j < seen; j++) { weights[j] *= scale; top = Real.Max(top, weights[j]); }
                for (int j = seen; j < Tile; j++) weights[j] = Real.NegativeInfinity;
                V minus = TLanes.Set(top);
                for (int j = 0; j < Tile; j += TLanes.Count) TLanes.Store(weights + j, TLanes.Exp2(TLanes.Sub(TLanes.Load(weights + j), minus)));
                // lse2 holds the running maximum for now.
                Real before = lse2[i] == top ? 1 : Real.Exp2(lse2[i] - top); lse2[i] = top; sums[i] = sums[i] * before + Total<TLanes, V>(weights);
                for (int c = 0; c < d; c++) Mean(i)[c] *= before;
                AddSums<TLanes, V>(weights, Mean(i));
                MultiplyAdds += 2L * seen * d;
            }
        }
        for (int i = 0; i < n; i++)
        {
            lse2[i] += Real.Log2(sums[i]); lse[i] = limits[i] > 0 ? lse2[i] * Ln2 : Real.NegativeInfinity;
            for (int c = 0; c < d; c++) Mean(i)[c] = limits[i] > 0 ? Mean(i)[c] / sums[i] - Query(i)[c] : 0;
        }
    }

    /// <summary>x = Σ⁻¹ right by conjugate gradients for all queries together, until each has converged.</summary>
    public void Solve<TLanes, V>() where TLanes : struct, ILanes<V> where V : struct
    {
        bool open = false;
        for (int i = 0; i < n; i++)
        {
            for (int c = 0; c < d; c++) { Solution(i)[c] = 0; r[i * d + c] = direction[i * d + c] = Right(i)[c]; }
            residual[i] = start[i] = limits[i] > 0 ? Dot(Right(i), Right(i), d) : 0; open |= residual[i] > 0;
        }
        for (int step = 0; step < LocalLinearSize.Most && open; step++)
        {
            for (int i = 0; i < n; i++) { sums[i] = 0; new Span<Real>(image + (long)i * d, d).Clear(); }
            for (int first = 0; first < most; first += Tile)
            {
                Turn(first);
                for (int i = 0; i < n; i++)
                {
                    if (residual[i] == 0 || limits[i] <= first) continue;
                    Real* way = direction + (long)i * d;
                    Softmaxed<TLanes, V>(i, first); Dots<TLanes, V>(way, Dot(Query(i), way, d), products);
                    for (int j = 0; j < Tile; j += TLanes.Count) TLanes.Store(products + j, TLanes.Mul(TLanes.Load(products + j), TLanes.Load(weights + j)));
                    sums[i] += Total<TLanes, V>(products); AddSums<TLanes, V>(products, image + (long)i * d);
                    MultiplyAdds += 3L * Math.Min(Tile, limits[i] - first) * d;
                }
            }
            open = false;
            for (int i = 0; i < n; i++)
            {
                if (residual[i] == 0) continue;
                Real* a = image + (long)i * d, way = direction + (long)i * d, rest = r + (long)i * d;
                for (int c = 0; c < d; c++) a[c] += ridge[i] * way[c] - Query(i)[c] * sums[i];
                Real curve = Dot(way, a, d);
                // Rounding can leave a direction without curvature when all there was to find is found.
                if (!(curve > 0)) { residual[i] = 0; continue; }
                Real alpha = residual[i] / curve;
                for (int c = 0; c < d; c++) { Solution(i)[c] += alpha * way[c]; rest[c] -= alpha * a[c]; }
                Real next = Dot(rest, rest, d), beta = next / residual[i];
                for (int c = 0; c < d; c++) way[c] = rest[c] + beta * way[c];
                residual[i] = next <= LocalLinearSize.Tolerance * start[i] ? 0 : next; open |= residual[i] != 0;
            }
        }
    }

    /// <summary>s_j of query i for the turned tile, from its weights: p_j (1 − z_j·ρ)/D into <see cref="Shares"/>, and z_j·ρ into <see cref="Along"/>.</summary>
    public readonly void Share<TLanes, V>(int i, Real* rho, Real scale) where TLanes : struct, ILanes<V> where V : struct
    {
        Dots<TLanes, V>(rho, Dot(Query(i), rho, d), products); V one = TLanes.Set(1), by = TLanes.Set(1 / scale);
        for (int j = 0; j < Tile; j += TLanes.Count) TLanes.Store(other + j, TLanes.Mul(TLanes.Mul(TLanes.Load(weights + j), by), TLanes.Sub(one, TLanes.Load(products + j))));
    }
    public readonly Real* Shares => other;
    public readonly Real* Along => products;

    /// <summary>o_i = Σ_j s_j v_j</summary>
    public void Output<TLanes, V>(Real* v, Real* divisor, Real* o) where TLanes : struct, ILanes<V> where V : struct
    {
        int e = z.ValueDim, w = TLanes.Count; new Span<Real>(o, n * e).Clear();
        for (int first = 0; first < most; first += Tile)
        {
            Turn(first);
            for (int i = 0; i < n; i++)
            {
                int seen = Math.Min(Tile, limits[i] - first); if (seen <= 0) continue;
                Softmaxed<TLanes, V>(i, first); Share<TLanes, V>(i, Solution(i), divisor[i]); Real* y = o + (long)i * e;
                for (int j = 0; j < seen; j++)
                {
                    Real* value = v + (long)(first + j) * e; V s = TLanes.Set(other[j]); int c = 0;
                    for (; c <= e - w; c += w) TLanes.Store(y + c, TLanes.Fma(s, TLanes.Load(value + c), TLanes.Load(y + c)));
                    for (; c < e; c++) y[c] += other[j] * value[c];
                }
                MultiplyAdds += (long)seen * (2 * d + e);
            }
        }
    }
}
