using System.Buffers;
namespace Fovea.Engine;

/// <summary>
/// The last tokens vote (2404.14469, §4): an entry's score is the weight that the queries of the window give it, averaged over neighbouring entries so that what surrounds an important place stays with it. The window itself stays.
/// </summary>
/// <param name="window">Tokens that vote and stay.</param>
/// <param name="kernel">Entries that are averaged, an odd number.</param>
[From("snapkv", "§4")]
public sealed class SnapKv(int window = 32, int kernel = 5) : KvPolicy
{
    readonly int window = window > 0 ? window : throw new ArgumentOutOfRangeException(nameof(window), window, "must be positive");
    readonly int half = kernel > 0 && kernel % 2 == 1 ? kernel / 2 : throw new ArgumentOutOfRangeException(nameof(kernel), kernel, "must be odd and positive");
    public override KvNeeds Needs => new(Window: window);

    public override void Score(KvEntries head, Span<Real> score)
    {
        var room = ArrayPool<Real>.Shared.Rent(score.Length); var mass = room.AsSpan(0, score.Length); int own = Math.Max(0, score.Length - window); double sum = 0;
        mass.Clear(); head.AddWindowMass(mass);
        for (int i = -half; i < own; i++)
        {
            if (i + half < own) sum += mass[i + half];
            if (i < 0) continue;
            score[i] = (Real)(sum / (2 * half + 1));
            if (i - half >= 0) sum -= mass[i - half];
        }
        score[own..].Fill(Real.PositiveInfinity);
        ArrayPool<Real>.Shared.Return(room);
    }
}
