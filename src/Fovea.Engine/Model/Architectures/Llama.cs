namespace Fovea.Engine;

/// <summary>Llama 1 to 3 and Mistral. GGUF files have neighbouring channels as rotary pairs.</summary>
public sealed class Llama : TransformerArchitecture
{
    public override IReadOnlyList<string> Names => ["llama", "mistral"];
    protected override RotaryPairs Pairs(ModelFile f) => f.Pairs;
    protected override AttentionParts Change(AttentionParts a, ModelFile f, TensorReader t, string b, Sizes s) => Windowed(a, f);
}
