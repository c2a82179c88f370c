using System.Numerics.Tensors;
namespace Fovea;

/// <summary>Numbers with a shape. Always contiguous and row-major; immutable by convention once an operation has returned it.</summary>
public sealed partial class Tensor
{
    Real[]? data, grad;
    bool pooled;
    readonly Tensor? root;          // a reshaped view shares data and gradient with the tensor it came from
    bool requiresGrad;
    bool keepsGrad, exactly;
    Packed? packed;                 // stands for the data where data is null

    public Shape Shape { get; }
    internal Tensor Root => root ?? this;

    internal Tensor(Shape shape, Real[] data) { Shape = shape; this.data = data; }
    Tensor(Shape shape, Tensor root) { Shape = shape; this.root = root.Root; }

    /// <summary>Whether gradients flow into this tensor. Set it on an input to get the gradient of the input.</summary>
    public bool RequiresGrad { get => Root.requiresGrad; set => Root.requiresGrad = value; }

    /// <summary>The numbers. Throws if the scope that owns them has closed.</summary>
    public Span<Real> Span => (Root.data ?? Root.Unpacked()).AsSpan(0, Shape.Size);

    /// <summary>Marks numbers that Backward needs as they are, such as a log-sum-exp: <see cref="SavedTensors"/> leaves them alone.</summary>
    public Tensor Exactly() { Root.exactly = true; return this; }

    internal bool MayPack => pooled && !exactly && data is not null && packed is null;
    internal void Pack(Packed p)
    {
        Pool.Return(data!); data = null; packed = p;
        Pool.Hold(p.Bytes);
    }
    Real[] Unpacked()
    {
        if (packed is null) throw new ObjectDisposedException(nameof(Tensor), $"tensor {Shape} was released with its scope; Scope.Keep it");
        data = Pool.Rent(Shape.Size);
        packed.Unpack(data.AsSpan(0, Shape.Size));
        return data;
    }
    /// <summary>Lets go of what was unpacked.</summary>
    internal void Repack() { if (packed is not null && data is { } d) { Pool.Return(d); data = null; } }

    /// <summary>The gradient, made on first use and zero at first; kernels add into it.</summary>
    public Span<Real> Grad
    {
        get
        {
            var r = Root;
            if (r.grad is null)
            {
                int n = r.Shape.Size;
                r.grad = r.pooled ? Pool.Rent(n) : new Real[n];
                Array.Clear(r.grad);
            }
            return r.grad.AsSpan(0, Shape.Size);
        }
    }
    public bool HasGrad => Root.grad is not null;
    public void ZeroGrad() { if (Root.grad is { } g) Array.Clear(g); }

    /// <summary>Keeps the gradient of an intermediate result after Backward has used it.</summary>
    public Tensor RetainGrad() { Root.keepsGrad = true; return this; }

    internal void Release()
    {
        if (data is { } d) { Pool.Return(d); data = null; }
        if (grad is { } g) { Pool.Return(g); grad = null; }
        if (packed is { } p) { Pool.Hold(-p.Bytes); packed = null; }
    }
    internal void Detached()
    {
        if (packed is { } p) { data ??= Unpacked(); Pool.Hold(-p.Bytes); packed = null; }
        if (data is { } d) Pool.Forget(d);
        if (grad is { } g) Pool.Forget(g);
        pooled = false;
    }
    void DropGrad() { if (pooled && !keepsGrad && grad is { } g) { Pool.Return(g); grad = null; } }

    // ---- making
    /// <summary>Memory is not cleared: the caller writes all of it.</summary>
    public static Tensor Empty(Shape shape)
    {
        if (ScopeState.Current is not { } scope)
        {
            var own = new Real[shape.Size];
            if (Pool.Poison) Array.Fill(own, Real.NaN);
            return new(shape, own);
        }
        var t = new Tensor(shape, Pool.Rent(shape.Size)) { pooled = true };
        scope.Own(t);
        return t;
    }
    /// <summary>A tensor over an array of the caller's, not copied: for buffers that outlive scopes.</summary>
    public static Tensor Over(Real[] data, Shape shape)
    {
        if (data.Length < shape.Size) throw new ShapeException($"an array of {data.Length} does not hold {shape}");
        return new(shape, data);
    }
    public static Tensor Zeros(Shape shape) { var t = Empty(shape); t.Span.Clear(); return t; }
    public static Tensor Full(Shape shape, Real value) { var t = Empty(shape); t.Span.Fill(value); return t; }
    public static Tensor From(ReadOnlySpan<Real> values, Shape shape)
    {
        if (values.Length != shape.Size) throw new ShapeException($"{values.Length} values do not fill {shape}");
        var t = Empty(shape); values.CopyTo(t.Span); return t;
    }
    /// <summary>Independent normal numbers with the given standard deviation.</summary>
    public static Tensor Normal(Rng rng, Shape shape, Real std = 1) { var t = Empty(shape); rng.Normal(t.Span, std); return t; }
    /// <summary>A copy outside the tape: no gradient flows back through it.</summary>
    public Tensor Detach() => From(Span, Shape);
    /// <summary>The only number of a tensor with one element.</summary>
    public Real Item => Shape.Size == 1 ? Span[0] : throw new ShapeException($"Item needs one element, the tensor is {Shape}");

    // ---- differentiating
    /// <summary>Declares how an output's gradient flows back. Backward adds into input.Grad of the inputs that require it.</summary>
    public static Tensor Record(Tensor output, ReadOnlySpan<Tensor> inputs, Action<Tensor> backward)
    {
        if (ScopeState.Current?.Tape is not { } tape) return output;
        foreach (var i in inputs)
            if (i.RequiresGrad) { output.RequiresGrad = true; tape.Add(new(output, backward)); break; }
        return output;
    }

    /// <summary>
    /// Runs the tape backwards from this tensor with gradient <paramref name="scale"/> in every element. Parameters' gradients add up over calls;
    /// gradients of intermediate results are given back as soon as they are used, unless <see cref="RetainGrad"/> asked for them.
    /// </summary>
    public void Backward(Real? scale = null)
    {
        var scope = ScopeState.Current; var tape = scope?.Tape ?? throw new InvalidOperationException("Backward needs an open Scope.Train()");
        if (!RequiresGrad) throw new InvalidOperationException($"nothing that leads to this tensor {Shape} requires a gradient");
        Grad.Fill(scale ?? 1);
        for (int i = tape.Count - 1; i >= 0; i--)
        {
            var (output, backward) = tape[i];
            if (output.HasGrad)
            {
                backward(output);
                output.Root.DropGrad();
            }
            scope!.Passed(i);
        }
        tape.Clear();
    }

    /// <summary>Backward from a given gradient of this tensor's shape.</summary>
    public void Backward(ReadOnlySpan<Real> gradient)
    {
        if (gradient.Length != Shape.Size) throw new ShapeException($"gradient has {gradient.Length} elements, the tensor is {Shape}");
        var g = From(gradient, Shape);
        (this * g).Sum().Backward();
    }

    /// <summary>Throws if any number is NaN or infinite; says which tensor and where.</summary>
    public Tensor MustBeFinite(string name)
    {
        var x = Span;
        int at = 0;
        if (Real.IsFinite(TensorPrimitives.SumOfMagnitudes<Real>(x))) return this;
        while (at < x.Length && Real.IsFinite(x[at])) at++;
        return at == x.Length ? this : throw new ArithmeticException($"{name} {Shape} has {x[at]} at element {at}");
    }

    public override string ToString() => $"Tensor {Shape}";
}
