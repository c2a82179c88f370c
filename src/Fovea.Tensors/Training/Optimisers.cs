namespace Fovea;

/// <summary>Changes parameters by their gradients. Its state is a dictionary of tensors, so that a checkpoint holds it.</summary>
public abstract class Optimiser
{
    /// <summary>Updates made so far.</summary>
    public int Step { get; set; }
    /// <summary>State tensors by name, made for these parameters on first use.</summary>
    public Dictionary<string, Tensor> State { get; } = [];

    /// <summary>One update of every parameter that has a gradient. Gradients stay; call Weights.ZeroGrad.</summary>
    public void Update(IReadOnlyDictionary<string, Tensor> parameters, double rate)
    {
        Step++;
        foreach (var (name, p) in parameters) if (p.RequiresGrad && p.HasGrad) One(name, p, (Real)rate);
    }
    protected abstract void One(string name, Tensor parameter, Real rate);

    /// <summary>The state tensor kind/name with the parameter's shape; zeros at first.</summary>
    protected Tensor Moment(string kind, string name, Shape shape)
    {
        string key = kind + name;
        if (!State.TryGetValue(key, out var t)) State[key] = t = new Tensor(shape, new Real[shape.Size]);
        return t.Shape == shape ? t : throw new ShapeException($"optimiser state {key} is {t.Shape}, the parameter is {shape}");
    }
}

/// <summary>Adam with decoupled weight decay (arXiv 1711.05101). Decay applies to parameters with two or more axes only.</summary>
public sealed class AdamW(double beta1 = 0.9, double beta2 = 0.95, double eps = 1e-8, double decay = 0.1) : Optimiser
{
    protected override void One(string name, Tensor p, Real rate) =>
        Kernels.Updates.AdamW(p.Span, p.Grad, Moment("m/", name, p.Shape).Span, Moment("v/", name, p.Shape).Span,
            rate, (Real)beta1, (Real)beta2, (Real)eps, p.Shape.Rank > 1 ? (Real)decay : 0, Step);
}

/// <summary>Gradient descent with momentum.</summary>
public sealed class Sgd(double momentum = 0.9, double decay = 0) : Optimiser
{
    protected override void One(string name, Tensor p, Real rate) =>
        Kernels.Updates.Sgd(p.Span, p.Grad, Moment("velocity/", name, p.Shape).Span, rate, (Real)momentum, p.Shape.Rank > 1 ? (Real)decay : 0);
}

/// <summary>Learning rate by step.</summary>
public abstract class Schedule
{
    public abstract double Rate(int step);
}

public sealed class Constant(double rate) : Schedule { public override double Rate(int step) => rate; }

/// <summary>Rises linearly over warm-up steps to peak, then falls along half a cosine to floor · peak at the last step.</summary>
public sealed class WarmupCosine(double peak, int warmup, int steps, double floor = 0.1) : Schedule
{
    public override double Rate(int step)
    {
        if (step < warmup) return peak * (step + 1) / warmup;
        double t = Math.Clamp((step - warmup) / (double)Math.Max(1, steps - warmup), 0, 1);
        return peak * (floor + (1 - floor) * 0.5 * (1 + Math.Cos(Math.PI * t)));
    }
}

public static class Gradients
{
    /// <summary>The Euclidean norm of all gradients together.</summary>
    public static double Norm(IReadOnlyDictionary<string, Tensor> parameters)
    {
        double sum = 0;
        foreach (var p in parameters.Values) if (p.RequiresGrad && p.HasGrad) sum += Kernels.Updates.SumOfSquares(p.Grad);
        return Math.Sqrt(sum);
    }
    /// <summary>Scales all gradients so that their norm is at most max; returns the norm before. Throws if it is not finite.</summary>
    public static double Clip(IReadOnlyDictionary<string, Tensor> parameters, double max)
    {
        double norm = Norm(parameters);
        if (!double.IsFinite(norm))
        {
            string where = string.Join(", ", parameters.Where(p => p.Value.HasGrad && !double.IsFinite(Kernels.Updates.SumOfSquares(p.Value.Grad))).Select(p => p.Key).Take(3));
            throw new ArithmeticException($"the gradient of {where} is not finite");
        }
        if (norm > max)
            foreach (var p in parameters.Values)
                if (p.RequiresGrad && p.HasGrad) System.Numerics.Tensors.TensorPrimitives.Multiply(p.Grad, (Real)(max / norm), p.Grad);
        return norm;
    }
}
