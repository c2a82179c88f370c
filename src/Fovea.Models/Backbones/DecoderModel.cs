using Fovea.Mechanisms;
namespace Fovea.Models;

/// <summary>
/// A decoder-only language model: embedding, causal blocks with a pluggable token mixer per layer, final norm, output layer. With pass.Memory the tokens continue what the memory has seen.
/// </summary>
public sealed class DecoderModel
{
    readonly Embedding embedding; readonly TokenPositions? positions; readonly Block[] blocks; readonly Norm final; readonly Linear? head;
    public ModelConfig Config { get; }
    public IReadOnlyList<Block> Blocks => blocks;

    public DecoderModel(ModelConfig config, Weights w, Mixer? mixer = null)
    {
        Config = config.Checked();
        embedding = new(w["embed"], config.Vocabulary, config.Dim);
        positions = config.TokenPositions?.Invoke(w["embed"], config.Length, config.Dim);
        blocks = [.. Enumerable.Range(0, config.Layers).Select(i => new Block(config, w["blocks"][i], i, causal: true, mixer ?? ModelConfig.Softmax))];
        final = config.Norm(w["final_norm"], config.Dim);
        head = config.Tied ? null : new(w["head"], config.Dim, config.Vocabulary);
    }

    /// <summary>tokens [B·N] → logits [B,N,V].</summary>
    public Tensor Forward(ReadOnlySpan<int> tokens, int batch, Pass pass) => Logits(Hidden(tokens, batch, pass), pass);

    /// <summary>tokens [B·N] → what the output layer reads [B,N,C].</summary>
    public Tensor Hidden(ReadOnlySpan<int> tokens, int batch, Pass pass)
    {
        pass.Layer = -1;
        var x = pass.At(Part.Embed, embedding.Forward(tokens, batch));
        if (positions is not null) x = pass.At(Part.Pos, positions.Apply(x, pass.Memory?.Start(this) ?? 0));
        pass.Memory?.Advance(this, x.Shape[1]);
        foreach (var b in blocks) x = b.Forward(x, null, pass);
        pass.Layer = -1;
        return pass.At(Part.FinalNorm, final.Forward(x, pass));
    }

    /// <summary>[B,N,C] → [B,N,V]</summary>
    public Tensor Logits(Tensor hidden, Pass pass) => pass.At(Part.Logits, head?.Forward(hidden) ?? hidden.MatMulT(embedding.Weight));

    /// <summary>Mean cross-entropy in nats over targets that are not negative; tokens and targets [B·N].</summary>
    public Tensor Loss(ReadOnlySpan<int> tokens, ReadOnlySpan<int> targets, int batch, Pass pass) => Forward(tokens, batch, pass).CrossEntropy(targets);
}
