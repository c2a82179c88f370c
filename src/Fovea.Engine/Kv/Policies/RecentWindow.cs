namespace Fovea.Engine;

/// <summary>The most recent tokens stay: window attention without sinks, the baseline that collapses when the first tokens leave (StreamingLLM §3.1).</summary>
[From("streamingllm", "§3.1")]
public sealed class RecentWindow : KvPolicy
{
    public override void Score(KvEntries head, Span<Real> score)
    {
        for (int i = 0; i < score.Length; i++) score[i] = i;
    }
}
