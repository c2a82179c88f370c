namespace Fovea.Kernels;

/// <summary>
/// The gradients of <see cref="LocalLinear"/>, one key head per task. With ds_j = dO·v_j, S = Σ s_j ds_j, dN_j = p_j ds_j/D and dD = −S/D: dρ = −Σ dN_j z_j − dD μ, y = Σ⁻¹dρ (the same conjugate gradients), dμ = y − dD ρ,
/// dp_j = N_j ds_j/D + z_j·dμ − (z_j·y)(z_j·ρ), dz_j = −dN_j ρ + p_j dμ − p_j ((z_j·ρ) y + (z_j·y) ρ), dλ = −y·ρ; then through the softmax, whose row term is Σ p_j dp_j = S + μ·dμ − y·μ + λ y·ρ, as Σρ = μ.
/// </summary>
internal readonly unsafe struct LocalLinearBackward(LocalLinearSize z, Real* q, Real* k, Real* v, Real* lambda, int* limits, Real* rho, Real* lse, Real* divisor, Real* dO, Real* dq, Real* dk, Real* dv, Real* dlambda, long* count) : IWideRows
{
    const int Q = LocalBlock.Queries, T = LocalBlock.Tile;

    public void Run<TLanes, V>(int from, int to) where TLanes : struct, ILanes<V> where V : struct
    {
        int d = z.Dim, e = z.ValueDim, w = TLanes.Count;
        using var scratch = Scratch.Open(); var block = new LocalBlock(z, scratch);
        Real* ds = scratch.Take((long)Q * T), total = scratch.Take(Q), dmu = scratch.Take((long)Q * d), y = scratch.Take((long)Q * d), a = scratch.Take((long)Q * d), aSum = scratch.Take(Q), row = scratch.Take(Q), ridgeSlope = scratch.Take(Q);
        Real* alongY = scratch.Take(T), alongMu = scratch.Take(T), c1 = scratch.Take(T), c2 = scratch.Take(T), c3 = scratch.Take(T), c4 = scratch.Take(T), dkTurned = scratch.Take((long)d * T);
        for (int task = from; task < to; task++)
        {
            long keys = (long)task * z.KeyRows; Real* ks = k + keys * d, vs = v + keys * e; count[task] = 0;
            for (int member = 0; member < z.Group; member++)
            {
                int head = task % z.KvHeads * z.Group + member; long rows = ((long)(task / z.KvHeads) * z.Heads + head) * z.Queries;
                for (int first = 0; first < z.Queries; first += Q)
                {
                    int n = Math.Min(Q, z.Queries - first); long at = rows + first;
                    block.Start(n, q + at * d, ks, limits + first); block.Known(lse + at); block.Ridge(lambda[head]);
                    for (int i = 0; i < n; i++) { total[i] = aSum[i] = 0; new Span<Real>(a + (long)i * d, d).Clear(); new Span<Real>(block.Mean(i), d).Clear(); }
                    // μ, S and Σ dN_j z_j
                    for (int key = 0; key < block.Most; key += T)
                    {
                        block.Turn(key);
                        for (int i = 0; i < n; i++)
                        {
                            int seen = Math.Min(T, block.Limit(i) - key); if (seen <= 0) continue;
                            block.Softmaxed<TLanes, V>(i, key); block.Share<TLanes, V>(i, rho + (at + i) * d, divisor[at + i]); block.AddSums<TLanes, V>(block.Weight, block.Mean(i));
                            Slopes<TLanes, V>(dO + (at + i) * e, vs, key, seen, c1); Real s = 0, by = 1 / divisor[at + i];
                            for (int j = 0; j < T; j++) { s += block.Shares[j] * c1[j]; c2[j] = block.Weight[j] * c1[j] * by; }
                            total[i] += s; aSum[i] += LocalBlock.Total<TLanes, V>(c2); block.AddSums<TLanes, V>(c2, a + (long)i * d);
                        }
                    }
                    for (int i = 0; i < n; i++)
                        for (int c = 0; c < d; c++)
                        {
                            if (block.Limit(i) > 0) block.Mean(i)[c] -= block.Query(i)[c];
                            block.Right(i)[c] = -(a[i * d + c] - block.Query(i)[c] * aSum[i]) + total[i] / divisor[at + i] * block.Mean(i)[c];
                        }
                    block.Solve<TLanes, V>();
                    for (int i = 0; i < n; i++)
                    {
                        if (block.Limit(i) == 0) { new Span<Real>(y + (long)i * d, d).Clear(); new Span<Real>(dmu + (long)i * d, d).Clear(); continue; }
                        Real back = total[i] / divisor[at + i], yRho = 0, term = total[i];
                        for (int c = 0; c < d; c++)
                        {
                            Real yc = y[i * d + c] = block.Solution(i)[c], p = rho[(at + i) * d + c], m = block.Mean(i)[c];
                            dmu[i * d + c] = yc + back * p; yRho += yc * p; term += m * dmu[i * d + c] - yc * m;
                        }
                        row[i] = term + block.RidgeOf(i) * yRho;
                        // λ exp(−lse) falls where the scores rise.
                        ridgeSlope[i] = z.Raw ? yRho * block.RidgeOf(i) : 0;
                        dlambda[task * z.Group + member] -= yRho * (z.Raw ? Real.Exp(-lse[at + i]) : 1);
                    }
                    for (int key = 0; key < block.Most; key += T)
                    {
                        block.Turn(key); new Span<Real>(dkTurned, d * T).Clear();
                        for (int i = 0; i < n; i++)
                        {
                            int seen = Math.Min(T, block.Limit(i) - key); if (seen <= 0) continue;
                            Real* r = rho + (at + i) * d, yi = y + (long)i * d, mi = dmu + (long)i * d, qi = block.Query(i), gi = dO + (at + i) * e; Real by = 1 / divisor[at + i];
                            block.Softmaxed<TLanes, V>(i, key); block.Share<TLanes, V>(i, r, divisor[at + i]); Slopes<TLanes, V>(gi, vs, key, seen, c1);
                            block.Dots<TLanes, V>(yi, Dot(qi, yi, d), alongY); block.Dots<TLanes, V>(mi, Dot(qi, mi, d), alongMu);
                            Real* p = block.Weight, s = block.Shares, along = block.Along;
                            for (int j = 0; j < seen; j++)
                            {
                                Real* dvj = dv + (keys + key + j) * e; V share = TLanes.Set(s[j]); int c = 0;
                                for (; c <= e - w; c += w) TLanes.Store(dvj + c, TLanes.Fma(share, TLanes.Load(gi + c), TLanes.Load(dvj + c)));
                                for (; c < e; c++) dvj[c] += s[j] * gi[c];
                            }
                            Real rest = row[i] - ridgeSlope[i];
                            for (int j = 0; j < T; j++)
                            {
                                Real slope = c1[j] * by, dp = (1 - along[j]) * slope + alongMu[j] - alongY[j] * along[j];
                                c1[j] = -p[j] * (slope + alongY[j]); c2[j] = p[j]; c3[j] = -p[j] * along[j]; c4[j] = z.Scale * p[j] * (dp - rest);
                            }
                            Real s1 = LocalBlock.Total<TLanes, V>(c1), s2 = LocalBlock.Total<TLanes, V>(c2), s3 = LocalBlock.Total<TLanes, V>(c3); Real* dqi = dq + (at + i) * d;
                            for (int c = 0; c < d; c++)
                            {
                                Real* sum = dkTurned + (long)c * T; V x1 = TLanes.Set(r[c]), x2 = TLanes.Set(mi[c]), x3 = TLanes.Set(yi[c]), x4 = TLanes.Set(qi[c]);
                                for (int j = 0; j < T; j += w) TLanes.Store(sum + j, TLanes.Fma(x1, TLanes.Load(c1 + j), TLanes.Fma(x2, TLanes.Load(c2 + j), TLanes.Fma(x3, TLanes.Load(c3 + j), TLanes.Fma(x4, TLanes.Load(c4 + j), TLanes.Load(sum + j))))));
                                dqi[c] -= r[c] * s1 + mi[c] * s2 + yi[c] * s3;
                            }
                            block.AddSums<TLanes, V>(c4, dqi);
                            block.MultiplyAdds += (long)seen * (13L * d + 3 * e);
                        }
                        for (int j = 0; j < Math.Min(T, block.Most - key); j++) for (int c = 0; c < d; c++) dk[(keys + key + j) * d + c] += dkTurned[(long)c * T + j];
                    }
                    count[task] += block.MultiplyAdds;
                }
            }
        }
    }

    // ds_j = dO·v_j for the keys of a tile, 0 beyond what is seen.
    void Slopes<TLanes, V>(Real* g, Real* vs, int key, int seen, Real* to) where TLanes : struct, ILanes<V> where V : struct
    {
        int e = z.ValueDim, w = TLanes.Count;
        for (int j = 0; j < seen; j++)
        {
            Real* value = vs + (long)(key + j) * e; V sum = TLanes.Set(0); int c = 0;
            for (; c <= e - w; c += w) sum = TLanes.Fma(TLanes.Load(g + c), TLanes.Load(value + c), sum);
            Real rest = TLanes.Sum(sum);
            for (; c < e; c++) rest += g[c] * value[c];
            to[j] = rest;
        }
        for (int j = seen; j < T; j++) to[j] = 0;
    }
    static Real Dot(Real* a, Real* b, int n) { Real sum = 0; for (int c = 0; c < n; c++) sum += a[c] * b[c]; return sum; }
}
