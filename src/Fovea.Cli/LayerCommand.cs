using System.CommandLine;
using System.Text.Json.Nodes;
using Fovea.Mechanisms;
namespace Fovea.Cli;

/// <summary>fovea layer: one mechanism on tensors from a file, so that any other language can compare.</summary>
static class LayerCommand
{
    static readonly string[] configuration = ["heads", "kvHeads", "causal", "rope", "length"];

    public static Command Make(Terminal terminal)
    {
        var name = new Argument<string>("name") { Description = "A mechanism; 'fovea mechanisms' lists them." };
        var input = new Option<string>("--in") { Description = "safetensors file: x [B,N,C], perhaps context [B,M,C], dy [B,N,C] for --grad, and weights by name (q_proj.weight …).", Required = true };
        var output = new Option<string>("--out") { Description = "safetensors file to write: y [B,N,C]; with --grad also grad.x, grad.context and grad.<weight>.", Required = true };
        var set = new Option<string[]>("--set") { Description = "heads=4 kvHeads=2 causal=false rope=10000 length=1024, and parameters of the mechanism.", AllowMultipleArgumentsPerToken = true };
        var grad = new Option<bool>("--grad") { Description = "Also compute gradients, for the output gradient dy (ones if the file has none)." };
        var seed = new Option<int?>("--seed") { Description = "Draw the weights from this key instead of reading them; they are written as weight.<name>." };
        var json = Output.JsonOption();
        var command = new Command("layer", "Runs one mechanism on tensors from a file.") { name, input, output, set, grad, seed, json };
        command.SetAction(p => Run(terminal, p.GetValue(name)!, p.GetValue(input)!, p.GetValue(output)!, p.GetValue(set) ?? [], p.GetValue(grad), p.GetValue(seed), p.GetValue(json)));
        return command;
    }

    static int Run(Terminal terminal, string name, string input, string output, string[] set, bool grad, int? seed, bool json)
    {
        var mechanism = Mechanism.Find(name);
        var pairs = Settings.Pairs(set);
        T Take<T>(string key, T start) => pairs.Remove(key, out string? text) ? (T)Settings.Parse(key, text, typeof(T)) : start;
        int heads = Take("heads", 1), kvHeads = Take("kvHeads", heads), length = Take("length", 1024); bool causal = Take("causal", true); double rope = Take("rope", 0.0);
        var knobs = Settings.Knobs(mechanism, pairs, configuration);

        var file = new Dictionary<string, Tensor>(Safetensors.Read(input));
        if (!file.Remove("x", out var x)) throw new InvalidDataException($"{input}: no tensor 'x' [B,N,C]; it has: {string.Join(", ", file.Keys.Take(8))}");
        if (x.Shape.Rank != 3 || x.Shape.Size == 0) throw new InvalidDataException($"{input}: x is {x.Shape}, expected [B,N,C] with nothing empty");
        file.Remove("context", out var context); file.Remove("dy", out var dy);
        var weights = seed is { } key ? Weights.Random(new Rng((ulong)(uint)key)) : Weights.From(file);
        Attention layer;
        try { layer = mechanism.New(new(x.Shape[2], heads, kvHeads, causal, rope > 0 ? new Rope(theta: rope) : null, length), weights, knobs); }
        catch (KeyNotFoundException e) { throw new InvalidDataException($"{input}: {e.Message}"); }
        string? unused = seed is null ? weights.Unused.FirstOrDefault() : file.Keys.FirstOrDefault();
        if (unused is not null) throw new InvalidDataException($"{input}: '{mechanism.Name}' has no weight '{unused}'; it has: {string.Join(", ", weights.All.Keys)}");

        var results = new Dictionary<string, Tensor>();
        using (var scope = grad ? Scope.Train() : Scope.NoGrad())
        {
            x.RequiresGrad = grad; if (context is not null) context.RequiresGrad = grad;
            var y = context is null ? layer.Forward(x, Pass.Eval) : layer.Forward(x, context, Pass.Eval);
            results["y"] = Copy(y.Span, y.Shape);
            if (grad)
            {
                if (dy is not null && dy.Shape != y.Shape) throw new InvalidDataException($"{input}: dy is {dy.Shape}, y is {y.Shape}");
                y.Backward(dy is null ? Tensor.Full(y.Shape, 1).Span : dy.Span);
                results["grad.x"] = Copy(x.Grad, x.Shape);
                if (context is not null) results["grad.context"] = Copy(context.Grad, context.Shape);
                foreach (var (weight, t) in weights.All) results["grad." + weight] = Copy(t.Grad, t.Shape);
            }
        }
        if (seed is not null) foreach (var (weight, t) in weights.All) results["weight." + weight] = t;
        Safetensors.Write(output, results, new Dictionary<string, string> { ["mechanism"] = mechanism.Name });

        if (json) Output.Json(terminal, new JsonObject { ["outputs"] = new JsonObject([.. results.Select(r => KeyValuePair.Create(r.Key, (JsonNode?)new JsonArray([.. r.Value.Shape.AsSpan.ToArray().Select(d => JsonValue.Create(d))])))]) });
        else Output.Table(terminal, ["tensor", "shape"], results.Select(r => new[] { r.Key, r.Value.Shape.ToString() }));
        return Cli.Done;
    }

    // Outside any scope's pools, so that it outlives the scope.
    static Tensor Copy(ReadOnlySpan<Real> values, Shape shape) => Tensor.Over(values.ToArray(), shape);
}
