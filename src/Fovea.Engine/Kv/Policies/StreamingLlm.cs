namespace Fovea.Engine;

/// <summary>The first tokens of the text (attention sinks) and the most recent ones stay (§3.2).</summary>
/// <param name="sinks">Tokens of the beginning that never leave.</param>
[From("streamingllm", "§3.2")]
public sealed class StreamingLlm(int sinks = 4) : KvPolicy
{
    public override void Score(KvEntries head, Span<Real> score)
    {
        for (int i = 0; i < score.Length; i++) score[i] = head.Positions[i] < sinks ? Real.PositiveInfinity : i;
    }
}
