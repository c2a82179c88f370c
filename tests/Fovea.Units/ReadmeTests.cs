using System.Runtime.CompilerServices;
using Fovea.Mechanisms;
using Fovea.Models;

namespace Fovea.Units;

public sealed class ReadmeTests
{
    [Fact]
    public void The_example_runs()
    {
        var weights = Weights.Random(new Rng(1));
        var model = new DecoderModel(new(Vocabulary: 256, Dim: 64, Layers: 2), weights, (layer, c, w) => new GatedLinearAttention(c, w));
        int[] text = [.. "to be or not to be, that is the question"u8.ToArray().Select(b => (int)b)];
        var trainer = new Trainer(weights, new AdamW(), new() { Steps = 60, Schedule = new WarmupCosine(3e-3, 10, 60) });
        trainer.Run((step, pass) => model.Loss(text[..^1], text[1..], batch: 1, pass));
        Console.WriteLine($"loss {trainer.Losses[0]:f2} -> {trainer.Losses[^1]:f2} nats");
        var look = new Capture("blocks.1.attn.gate");
        model.Forward(text, batch: 1, new Pass { Probe = look });
        Console.WriteLine($"gates of layer 1: {look["blocks.1.attn.gate"].Shape}");
        Assert.True(trainer.Losses[^1] < 0.5 * trainer.Losses[0]);
    }

    [Fact]
    public void The_example_is_the_one_above()
    {
        string here = File.ReadAllText(Here()), readme = File.ReadAllText(Path.Combine(Path.GetDirectoryName(Here())!, "..", "..", "README.md"));
        string[] lines = readme.Split("```csharp\n")[1].Split("```")[0].Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.InRange(lines.Length, 8, 12);
        Assert.All(lines, line => Assert.Contains(line, here));
    }
    static string Here([CallerFilePath] string path = "") => path;
}
