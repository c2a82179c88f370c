using Fovea.Mechanisms;
namespace Fovea.Models;

/// <summary>
/// A vision transformer: patches through one linear layer (a convolution whose stride is its kernel), learned positions, blocks in which tokens see each other, final norm, mean over tokens, output layer.
/// </summary>
public sealed class ImageClassifier
{
    readonly Linear stem, head; readonly TokenPositions positions; readonly Block[] blocks; readonly Norm final; readonly int patch;
    public IReadOnlyList<Block> Blocks => blocks;

    /// <param name="config">Vocabulary is the number of classes; Length is the number of tokens.</param>
    public ImageClassifier(ModelConfig config, Weights w, int patch, Mixer? mixer = null)
    {
        config = (config with { Position = null }).Checked(); this.patch = patch;
        stem = new(w["stem"], 3 * patch * patch, config.Dim, bias: true);
        positions = new LearnedPositions(w, config.Length, config.Dim);
        blocks = [.. Enumerable.Range(0, config.Layers).Select(i => new Block(config, w["blocks"][i], i, causal: false, mixer ?? ModelConfig.Softmax))];
        final = config.Norm(w["final_norm"], config.Dim);
        head = new(w["head"], config.Dim, config.Vocabulary, bias: true);
    }

    /// <summary>→ logits [B,V].</summary>
    public Tensor Forward(Images images, Pass pass)
    {
        pass.Layer = -1;
        var x = pass.At(Part.Embed, positions.Apply(stem.Forward(images.Patches(patch)), 0));
        foreach (var b in blocks) x = b.Forward(x, null, pass);
        pass.Layer = -1;
        return pass.At(Part.Logits, head.Forward(pass.At(Part.FinalNorm, final.Forward(x, pass)).Mean(1)));
    }

    /// <summary>Mean cross-entropy in nats over the kinds of the shapes.</summary>
    public Tensor Loss(Images images, Pass pass) => Forward(images, pass).CrossEntropy(images.Labels);
}
