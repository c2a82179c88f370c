using Fovea.Kernels;
namespace Fovea.Mechanisms;

/// <summary>Sequences of different length packed into one row: a token sees itself and what came before in its own document. <paramref name="Of"/> gives the number of each position's document, ascending.</summary>
[From("flashattention")]
public readonly record struct Documents(int[] Of) : IPattern
{
    public bool Allows(int query, int key) => key <= query && Of[query] == Of[key];
    public Cover Tile(int q0, int q1, int k0, int k1) =>
        k0 > q1 || Of[k1] < Of[q0] || Of[k0] > Of[q1] ? Cover.None : k1 <= q0 && Of[k0] == Of[q1] ? Cover.All : Cover.Mixed;
}
