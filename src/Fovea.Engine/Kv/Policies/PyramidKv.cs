namespace Fovea.Engine;

/// <summary>
/// Lower layers, whose attention is spread, keep more than upper ones (2406.02069, §4.2): budgets fall evenly from layer to layer, and their mean is the budget. What stays in a layer is another policy's choice, SnapKV in the paper.
/// </summary>
/// <param name="inner">Who chooses within a layer.</param>
/// <param name="beta">The last layer gets 1/β of twice the budget's share beyond the window; larger is steeper.</param>
/// <param name="window">Entries that every layer keeps in any case.</param>
[From("pyramidkv", "§4.2")]
public sealed class PyramidKv(KvPolicy inner, double beta = 20, int window = 32) : PolicyWrapper(inner)
{
    readonly double beta = beta >= 1 ? beta : throw new ArgumentOutOfRangeException(nameof(beta), beta, "must be at least 1");
    protected override KvPolicy Around(KvPolicy other) => new PyramidKv(other, beta, window);

    public override int Budget(int budget, int layer, int layers)
    {
        if (layers == 1 || budget <= window) return budget;
        // The ends of the line: their mean is the budget.
        double last = (budget - window) / beta, first = 2.0 * (budget - window) - last;
        return window + (int)Math.Floor(first - (first - last) * layer / (layers - 1) + 1e-9);
    }
}
