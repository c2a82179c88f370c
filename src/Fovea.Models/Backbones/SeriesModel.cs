namespace Fovea.Models;

/// <summary>Forecasts a time series: steps are tokens with sinusoidal positions, causal blocks, and the last token's vector gives all steps to come, as differences from the last value.</summary>
public sealed class SeriesModel
{
    readonly Linear embed, head; readonly SinusoidalPositions positions; readonly Block[] blocks; readonly Norm final; readonly int channels, horizon;

    public SeriesModel(ModelConfig config, int channels, int horizon, Weights w, Mixer? mixer = null)
    {
        (this.channels, this.horizon) = (channels, horizon); config.Checked();
        embed = new(w["embed"], channels, config.Dim, bias: true); positions = new(config.Dim);
        blocks = [.. Enumerable.Range(0, config.Layers).Select(i => new Block(config, w["blocks"][i], i, causal: true, mixer ?? ModelConfig.Softmax))];
        final = config.Norm(w["final_norm"], config.Dim); head = new(w["head"], config.Dim, horizon * channels, bias: true);
    }

    /// <summary>past [B,N,channels] → [B,horizon,channels]</summary>
    public Tensor Forward(Tensor past, Pass pass)
    {
        Check.Shape(past, [-1, -1, channels]); var (b, n, _) = past.Shape;
        var x = pass.At(Part.Embed, positions.Apply(embed.Forward(past), 0));
        foreach (var block in blocks) x = block.Forward(x, null, pass);
        pass.Layer = -1;
        return past.Rows(n - 1, n) + head.Forward(final.Forward(x.Rows(n - 1, n), pass)).Reshape([b, horizon, channels]);
    }
}
