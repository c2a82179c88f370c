using Fovea.Mechanisms;
namespace Fovea.Models;

/// <summary>An encoder-decoder: the decoder's blocks read the encoder's output by cross-attention. With causal = false the target is given at once and sees itself whole, as questions do that are asked side by side.</summary>
public sealed class EncoderDecoderModel
{
    readonly EncoderModel encoder; readonly Embedding embedding; readonly TokenPositions? positions; readonly Block[] blocks; readonly Norm final;
    public ModelConfig Config { get; }

    public EncoderDecoderModel(ModelConfig config, Weights w, Mixer? encoderMixer = null, Mixer? decoderMixer = null, Mixer? crossMixer = null, bool causal = true)
    {
        Config = config.Checked();
        encoder = new(config, w["encoder"], encoderMixer);
        var d = w["decoder"];
        embedding = new(d["embed"], config.Vocabulary, config.Dim);
        positions = config.TokenPositions?.Invoke(d["embed"], config.Length, config.Dim);
        blocks = [.. Enumerable.Range(0, config.Layers).Select(i => new Block(config, d["blocks"][i], i, causal, decoderMixer ?? ModelConfig.Softmax, crossMixer ?? ModelConfig.Softmax))];
        final = config.Norm(d["final_norm"], config.Dim);
    }

    /// <summary>source [B·M] → context [B,M,C].</summary>
    public Tensor Encode(ReadOnlySpan<int> source, int batch, Pass pass) => encoder.Forward(source, batch, pass);

    /// <summary>target [B·N] and context [B,M,C] → logits [B,N,V]; causal over target, unless the model is not.</summary>
    public Tensor Decode(ReadOnlySpan<int> target, Tensor context, int batch, Pass pass)
    {
        pass.Layer = -1;
        var x = pass.At(Part.Embed, embedding.Forward(target, batch));
        if (positions is not null) x = pass.At(Part.Pos, positions.Apply(x, pass.Memory?.Start(this) ?? 0));
        pass.Memory?.Advance(this, x.Shape[1]);
        foreach (var b in blocks) x = b.Forward(x, context, pass);
        pass.Layer = -1;
        return pass.At(Part.Logits, pass.At(Part.FinalNorm, final.Forward(x, pass)).MatMulT(embedding.Weight));
    }

    /// <summary>source [B·M], target [B·N] → logits [B,N,V].</summary>
    public Tensor Forward(ReadOnlySpan<int> source, ReadOnlySpan<int> target, int batch, Pass pass) => Decode(target, Encode(source, batch, pass), batch, pass);
}
