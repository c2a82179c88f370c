using System.Reflection;
namespace Fovea;

/// <summary>Copies what a state holds: arrays, tensors, collections, structs and states within states. Everything else, such as functions and layers, does not change and is shared.</summary>
static class StateCopy
{
    static readonly MethodInfo clone = typeof(object).GetMethod("MemberwiseClone", BindingFlags.Instance | BindingFlags.NonPublic)!;

    public static object? Of(object? x) => Of(x, new(ReferenceEqualityComparer.Instance));

    static object? Of(object? x, Dictionary<object, object> done)
    {
        if (x is null or string or Delegate || x.GetType() is { IsPrimitive: true } or { IsEnum: true }) return x;
        if (done.TryGetValue(x, out object? copy)) return copy;
        if (x is Array a)
        {
            var own = (Array)a.Clone(); done[x] = own; var element = a.GetType().GetElementType()!;
            if (a.Rank == 1 && !element.IsPrimitive && !element.IsEnum) for (int i = 0; i < own.Length; i++) own.SetValue(Of(a.GetValue(i), done), i);
            return own;
        }
        if (x is Tensor t) return done[x] = new Tensor(t.Shape, t.Span.ToArray());
        if (x is not (LayerState or ValueType) && x.GetType().Namespace != "System.Collections.Generic") return x;
        object made = clone.Invoke(x, null)!; done[x] = made;
        for (var type = made.GetType(); type is not null && type != typeof(object); type = type.BaseType)
            foreach (var f in type.GetFields(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly)) f.SetValue(made, Of(f.GetValue(made), done));
        return made;
    }
}
