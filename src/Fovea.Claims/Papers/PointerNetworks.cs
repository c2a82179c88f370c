using Fovea.Models;
namespace Fovea.Claims;

/// <summary>
/// Convex hulls of 5 to 10 points and sorting of 4 to 6 numbers with 64 hidden units, against sequence to sequence with attention and a dictionary of ten places: same sizes, steps and batches.
/// Ablated: the dictionary model takes the place of the pointer network.
/// </summary>
[Paper("pointer-networks")]
public static class PointerNetworks
{
    const int Hidden = 64, Longest = 10, Batch = 64, HullSteps = 500, SortSteps = 500;
    delegate PlacesBatch Problem(Rng rng, int size, int n);

    static SequenceToSequence Pointer(Weights w, int features) => new PointerNetwork(w, features, Hidden);
    static SequenceToSequence Dictionary(Weights w, int features) => new DictionaryNetwork(w, features, Hidden, Longest);

    static SequenceToSequence Train(ClaimRun run, string task, bool pointer, Problem problem, int features, int few, int many, int steps)
    {
        string name = $"{task}-{(pointer ? "pointer" : "dictionary")}"; Func<Weights, int, SequenceToSequence> make = pointer ? Pointer : Dictionary;
        var weights = run.Trained(name, () =>
        {
            var w = Weights.Random(run.Rng["weights"]); var model = make(w, features);
            new Trainer(w, new AdamW(decay: 0), new() { Steps = steps, Schedule = new WarmupCosine(1e-2, steps / 10, steps), Clip = 2 }).Run((i, _) =>
            {
                var b = problem(run.Rng["train"][i], Batch, few + run.Rng["sizes"].Below(i, many - few + 1));
                return model.Loss(b.Inputs, b.Targets);
            }, step => { if (step % 20 == 0) run.Report($"{name}: step {step} of {steps}"); }, run.Cancel);
            return w;
        });
        return make(weights, features);
    }
    static SequenceToSequence Hull(ClaimRun run, bool pointer) => Train(run, "hull", pointer && !run.Ablated, PointSets.Hulls, 2, 5, 10, HullSteps);
    static SequenceToSequence Sort(ClaimRun run, bool pointer) => Train(run, "sort", pointer && !run.Ablated, PointSets.Sorting, 1, 4, 6, SortSteps);

    /// <summary>Exact answers, mean area over the true one, and valid polygons, each as a share; decoding chooses no place twice.</summary>
    static (double Exact, double Area, double Valid) Hulls(ClaimRun run, SequenceToSequence model, int few, int many, int sets)
    {
        double exact = 0, area = 0, valid = 0; int count = 0;
        for (int n = few; n <= many; n++)
        {
            var b = PointSets.Hulls(run.Rng["held out"][n], sets / (many - few + 1), n); var found = model.Decode(b.Inputs, n + 1, once: true);
            for (int r = 0; r < b.Size; r++, count++)
            {
                (double, double)[] Points(int[] places) => [.. places.Where(p => p <= n).Select(p => b.Point(r, p))];
                double a = found[r].All(p => p <= n) ? PointSets.Area(Points(found[r])) : 0;
                if (found[r].SequenceEqual(b.Answer(r))) exact++;
                if (a > 0) valid++;
                area += a / PointSets.Area(Points(b.Answer(r)));
            }
        }
        return (exact / count, area / count, valid / count);
    }

    [Claim("On convex hulls of five to ten points it is right more often than attention over a dictionary, and covers more of the area")]
    public static Evidence ConvexHulls(ClaimRun run)
    {
        var pointer = Hulls(run, Hull(run, true), 5, 10, 1002); var dictionary = Hulls(run, Hull(run, false), 5, 10, 1002);
        return Evidence.All(
            Evidence.AtLeast(100 * (pointer.Exact - dictionary.Exact), 10, "points", $"exact hulls ({pointer.Exact:f3}) beyond the dictionary ({dictionary.Exact:f3})"),
            Evidence.AtLeast(pointer.Area, 0.85, "", "mean area over the true hull's; crossing itself counts 0"),
            Evidence.AtLeast(pointer.Area - dictionary.Area, 0.01, "", $"the same beyond the dictionary ({dictionary.Area:f3})"));
    }

    [Claim("It works on inputs longer than those seen in training, where the dictionary has no symbols")]
    public static Evidence Longer(ClaimRun run)
    {
        var (_, area, valid) = Hulls(run, Hull(run, true), 15, 15, 500);
        return Evidence.All(Evidence.AtLeast(valid, 0.6, "", "share of valid polygons for 15 points"), Evidence.AtLeast(area, 0.6, "", "mean area over the true hull's"));
    }

    [Claim("It learns to sort five numbers, and puts most of seven in their places")]
    public static Evidence Sorting(ClaimRun run)
    {
        (double Exact, double Element) Of(SequenceToSequence model, int n)
        {
            var b = PointSets.Sorting(run.Rng["held out"], 500, n); var found = model.Decode(b.Inputs, n + 1, once: true); double exact = 0, element = 0;
            for (int r = 0; r < b.Size; r++)
            {
                var answer = b.Answer(r);
                if (found[r].SequenceEqual(answer)) exact++;
                element += answer.Where((x, i) => i < found[r].Length && found[r][i] == x).Count() / (double)n;
            }
            return (exact / b.Size, element / b.Size);
        }
        var model = Sort(run, true); double five = Of(model, 5).Exact, dictionary = Of(Sort(run, false), 5).Exact;
        return Evidence.All(Evidence.AtLeast(five, 0.6, "", "five numbers, all in their places"), Evidence.AtLeast(five - dictionary, 0, "", $"beyond the dictionary ({dictionary:f3})"),
            Evidence.AtLeast(Of(model, 7).Element, 0.4, "", "of seven numbers, a length not seen in training; chance is 0.14"));
    }

    [Claim("Over encodings without order, permuting the inputs permutes the pointer's logits", Quick = true)]
    public static Evidence Permutes(ClaimRun run)
    {
        const int n = 9, c = 16; var w = Weights.Random(run.Rng["head"]); var head = new PointerHead(w["pointer"], c, c, c); var encode = new Linear(w["encode"], 2, c, bias: true); var lstm = new Lstm(w["lstm"], 2, c);
        Tensor x = Tensor.Normal(run.Rng["x"], [1, n, 2]), d = Tensor.Normal(run.Rng["d"], [1, 3, c]); int[] order = run.Rng["order"].Order(n);
        // Ablated: an encoder that reads in order.
        Tensor Logits(Tensor x) => head.Forward(run.Ablated ? lstm.Forward(x).Outputs : encode.Forward(x).Tanh(), d);
        Tensor a = Logits(x), b = Logits(x.Reshape([n, 2]).Gather(order).Reshape([1, n, 2])); double worst = 0;
        for (int i = 0; i < 3; i++)
        {
            worst = Math.Max(worst, Math.Abs(a.Span[i * (n + 1)] - b.Span[i * (n + 1)]));
            for (int j = 0; j < n; j++) worst = Math.Max(worst, Math.Abs(a.Span[i * (n + 1) + 1 + order[j]] - b.Span[i * (n + 1) + 1 + j]));
        }
        return Evidence.AtMost(worst, 1e-5, "", "largest difference");
    }
}
