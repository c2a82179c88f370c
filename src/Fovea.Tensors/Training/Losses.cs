namespace Fovea;

/// <summary>Losses beside cross-entropy, which is an operation of <see cref="Tensor"/>. All are means over all elements, scalars.</summary>
public static class Losses
{
    /// <summary>mean (x − target)²</summary>
    public static Tensor MeanSquare(Tensor x, Tensor target) { Check.Shape(target, x.Shape); return (x - target).Square().Mean(); }
    /// <summary>mean |x − target|</summary>
    public static Tensor MeanAbsolute(Tensor x, Tensor target) { Check.Shape(target, x.Shape); return (x - target).Abs().Mean(); }
    /// <summary>Binary cross-entropy of logits x against targets in [0,1]: mean softplus(x) − x·target.</summary>
    public static Tensor BinaryCrossEntropy(Tensor logits, Tensor target) { Check.Shape(target, logits.Shape); return (logits.Softplus() - logits * target).Mean(); }
    /// <summary>Σ_j p_j (ln p_j − ln q_j) per row of two sets of logits, averaged: KL from the teacher's softmax p to the student's q. No gradient flows into the teacher.</summary>
    public static Tensor Distillation(Tensor student, Tensor teacher)
    {
        Check.Shape(teacher, student.Shape);
        int rows = student.Shape.Size / student.Shape[-1];
        Tensor p = teacher.Detach().Softmax(), logP = LogSoftmax(teacher.Detach()), logQ = LogSoftmax(student);
        return (p * (logP - logQ)).Sum() * (1 / (Real)rows);
    }
    static Tensor LogSoftmax(Tensor x) => x - x.LogSumExp().Reshape(x.Shape.With(-1, 1));
}
