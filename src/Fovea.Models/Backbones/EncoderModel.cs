using Fovea.Mechanisms;
namespace Fovea.Models;

/// <summary>An encoder: embedding, blocks in which every token sees every other, final norm. tokens [B·N] → [B,N,C].</summary>
public sealed class EncoderModel
{
    readonly Embedding embedding; readonly TokenPositions? positions; readonly Block[] blocks; readonly Norm final;
    public ModelConfig Config { get; }

    public EncoderModel(ModelConfig config, Weights w, Mixer? mixer = null)
    {
        Config = config.Checked();
        embedding = new(w["embed"], config.Vocabulary, config.Dim);
        positions = config.TokenPositions?.Invoke(w["embed"], config.Length, config.Dim);
        blocks = [.. Enumerable.Range(0, config.Layers).Select(i => new Block(config, w["blocks"][i], i, causal: false, mixer ?? ModelConfig.Softmax))];
        final = config.Norm(w["final_norm"], config.Dim);
    }

    public Tensor Forward(ReadOnlySpan<int> tokens, int batch, Pass pass)
    {
        pass.Layer = -1;
        var x = pass.At(Part.Embed, embedding.Forward(tokens, batch));
        if (positions is not null) x = pass.At(Part.Pos, positions.Apply(x, 0));
        foreach (var b in blocks) x = b.Forward(x, null, pass);
        pass.Layer = -1;
        return pass.At(Part.FinalNorm, final.Forward(x, pass));
    }
}
