namespace Fovea;

/// <summary>y = x · wᵀ + b, x [..., In] → y [..., Out]. Parameters weight [Out,In] and bias [Out].</summary>
public sealed class Linear
{
    readonly Tensor weight; readonly Tensor? bias;
    public Linear(Weights w, int @in, int @out, bool bias = false, Init init = Init.FanIn)
    {
        weight = w.Get("weight", [@out, @in], init);
        this.bias = bias ? w.Get("bias", [@out], Init.Zeros) : null;
    }

    public Tensor Weight => weight;
    public Tensor? Bias => bias;
    public Tensor Forward(Tensor x) => bias is null ? x.MatMulT(weight) : x.MatMulT(weight) + bias;
}
