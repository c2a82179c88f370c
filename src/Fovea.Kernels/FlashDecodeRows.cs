namespace Fovea.Kernels;

readonly unsafe partial struct FlashDecode<TScore, TPattern, TWeights, TKeys, TValues>
{
    /// <summary>The rows of a task: the query heads of one key head, and of each its queries. logits [Row,Step], acc [Row,E].</summary>
    struct Rows<TLanes, V>(FlashDecode<TScore, TPattern, TWeights, TKeys, TValues> f, Real* q, Real* acc, Real* max, Real* sum, Real* logits, Real* buffer, int* ints) where TLanes : struct, ILanes<V> where V : struct
    {
        public readonly Real* Acc = acc, Max = max, Sum = sum;
        readonly int* pieces = ints, runs = ints + 2 * FlashDecode<TScore, TPattern, TWeights, TKeys, TValues>.Step;
        public long Pairs; public int Count;
        int kv, first, queries, used, found;

        public void Open(int kv, int first, int queries)
        {
            var s = f.s; (this.kv, this.first, this.queries, Count) = (kv, first, queries, s.Group * queries);
            for (int r = 0; r < Count; r++) FlashRows.Scale<TLanes, V>(f.q + Row(r) * s.Dim, s.Scale, q + (nint)r * s.Dim, s.Dim, s.Dim);
            new Span<Real>(Acc, Count * s.ValueDim).Clear(); new Span<Real>(Max, Count).Fill(Real.NegativeInfinity); new Span<Real>(Sum, Count).Clear();
        }

        public readonly long Row(int r) => ((long)kv * f.s.Group + r / queries) * f.s.Queries + Query(r);
        readonly int Query(int r) => first + r % queries;
        readonly int Head(int r) => (int)(Row(r) / f.s.Queries % f.s.Heads);

        /// <summary>All rows over the keys [low, high), in steps of tiles that some row sees.</summary>
        public void All(int low, int high)
        {
            const int tile = FlashDecode<TScore, TPattern, TWeights, TKeys, TValues>.Tile, step = FlashDecode<TScore, TPattern, TWeights, TKeys, TValues>.Step;
            int from = low;
            for (int at = low; at < high; at += tile)
            {
                int end = Math.Min(high, at + tile), seen = 0;
                for (int r = 0; r < Count; r++) if (f.view.Tile(Query(r), Query(r) + 1, at, end) != Cover.None) seen++;
                Pairs += (long)seen * (end - at);
                if (seen == 0) { if (from < at) Step(from, at); from = end; }
                else if (end - from == step) { Step(from, end); from = end; }
            }
            if (from < high) Step(from, high);
        }

        // Scores of all, then weights of all, then values for all, so that keys and values are read once.
        void Step(int from, int to)
        {
            const int step = FlashDecode<TScore, TPattern, TWeights, TKeys, TValues>.Step;
            int n = to - from;
            new Span<Real>(logits, Count * step).Clear();
            f.keys.Dots<TLanes, V>(kv, from, n, q, Count, logits, step, buffer);
            for (int r = 0; r < Count; r++)
            {
                Real* row = logits + (nint)r * step;
                var cover = f.view.Tile(Query(r), Query(r) + 1, from, to);
                if (cover == Cover.None) { new Span<Real>(row, n).Clear(); continue; }
                Shape(row, r, from, to, cover); Weigh(row, r, n);
            }
            f.values.Sweep<TLanes, V>(kv, from, n, logits, step, Acc, Count, buffer);
        }

        /// <summary>Row after row over the blocks of its list. Up to a tile of keys are collected, wherever they lie, before the softmax and the values are touched.</summary>
        public void Listed(int low, int high)
        {
            const int step = FlashDecode<TScore, TPattern, TWeights, TKeys, TValues>.Tile;
            for (int r = 0; r < Count; r++)
            {
                var windows = f.view.Named((int)(Row(r) / f.s.Queries), Query(r), low, high);
                while (windows.Next(out int from, out int end)) for (; from < end; from += step) Collect(r, from, Math.Min(end, from + step));
                Close(r);
            }
        }

        void Collect(int r, int from, int to)
        {
            int n = to - from;
            var cover = f.view.Tile(Query(r), Query(r) + 1, from, to);
            if (cover == Cover.None) return;
            if (used + n > FlashDecode<TScore, TPattern, TWeights, TKeys, TValues>.Tile) Close(r);
            Real* at = logits + used;
            new Span<Real>(at, n).Clear();
            f.keys.Dots<TLanes, V>(kv, from, n, q + (nint)r * f.s.Dim, 1, at, 0, buffer);
            Shape(at, r, from, to, cover);
            pieces[2 * found] = from; pieces[2 * found++ + 1] = n; used += n; Pairs += n;
        }

        void Close(int r)
        {
            if (used == 0) return;
            Weigh(logits, r, used);
            int e = f.s.ValueDim; Real* p = logits;
            for (int i = 0; i < found; p += pieces[2 * i + 1], i++) f.values.Sweep<TLanes, V>(kv, pieces[2 * i], pieces[2 * i + 1], p, 0, Acc + (nint)r * e, 1, buffer);
            used = found = 0;
        }

        // Raw scores become logits; −∞ where nothing is seen.
        readonly void Shape(Real* row, int r, int from, int to, Cover cover)
        {
            bool gaps = typeof(TScore) != typeof(Plain) && f.view.Gaps(from, to);
            if (cover == Cover.All && typeof(TScore) == typeof(Plain)) return;
            int count = f.view.Runs(Query(r), from, to, cover == Cover.Mixed ? &cover : null, int.MaxValue, gaps, runs);
            for (int u = 0; u < count; u++) f.score.Row(new(row + runs[2 * u] - from, runs[2 * u + 1] - runs[2 * u]), Head(r), f.view.At(Query(r)), f.view.KeyAt(runs[2 * u]));
            FlashView<TPattern>.Outside(row, from, to - from, runs, count, Real.NegativeInfinity);
        }

        // Logits become weights, and what the row has gathered is brought to their scale.
        readonly void Weigh(Real* row, int r, int n)
        {
            if (!Soft) { TWeights.Weights(new(row, n)); return; }
            int places = (n + TLanes.Count - 1) / TLanes.Count * TLanes.Count, e = f.s.ValueDim;
            for (int j = n; j < places; j++) row[j] = Real.NegativeInfinity;
            Real keep = FlashRows.Online<TLanes, V>(row, places, ref Max[r], ref Sum[r]);
            if (keep != 1) FlashRows.Scale<TLanes, V>(Acc + (nint)r * e, keep, Acc + (nint)r * e, e, e);
        }
    }
}
