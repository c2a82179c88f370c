namespace Fovea;

/// <summary>A tensor's numbers in another form while it waits for Backward.</summary>
public abstract class Packed
{
    public abstract long Bytes { get; }
    /// <summary>Writes all numbers, or what stands for them.</summary>
    public abstract void Unpack(Span<Real> destination);
}

/// <summary>
/// What becomes of intermediate results between the forward pass, which needs them as they are, and Backward, for which something close may do. A model calls Open before and Close after each section whose inner results nothing later
/// reads (<see cref="Pass.Saved"/>): they are then packed, and unpacked where Backward asks for them, section after section. The forward pass is the same to the bit, and no operation need know of it. What an operation must have exactly it
/// marks with <see cref="Tensor.Exactly"/>.
/// </summary>
public abstract class SavedTensors
{
    Pass? current; int ordinal;

    /// <summary>Bytes that the packed tensors of the last pass had, and have.</summary>
    public long FullBytes { get; private set; }
    public long PackedBytes { get; private set; }

    /// <summary>The tensor in another form, or null to leave it. Ordinal counts the tensors of a pass: the same tensor has the same number in every pass of one model.</summary>
    protected abstract Packed? Pack(Tensor tensor, int layer, int ordinal, Pass pass);

    /// <summary>Begins a section; where nothing is recorded, nothing happens.</summary>
    public Section Open(Pass pass)
    {
        if (!ReferenceEquals(current, pass)) (current, ordinal, FullBytes, PackedBytes) = (pass, 0, 0, 0);
        return new(this, pass, ScopeState.Current is { Tape: not null } s ? s : null);
    }

    /// <summary>A section of a forward pass.</summary>
    public readonly struct Section
    {
        readonly SavedTensors policy; readonly Pass pass; readonly ScopeState? scope; readonly int firstTensor, firstStep;
        internal Section(SavedTensors policy, Pass pass, ScopeState? scope)
        {
            (this.policy, this.pass, this.scope) = (policy, pass, scope);
            (firstTensor, firstStep) = scope is null ? (0, 0) : (scope.Owned.Count, scope.Tape!.Count);
        }

        /// <summary>Ends the section: everything that it made but its output may be packed.</summary>
        public void Close(Tensor output)
        {
            if (scope is null) return;
            var packed = new List<Tensor>();
            for (int i = firstTensor; i < scope.Owned.Count; i++)
            {
                var t = scope.Owned[i];
                if (ReferenceEquals(t, output.Root) || !t.MayPack) continue;
                int number = policy.ordinal++;
                if (policy.Pack(t, pass.Layer, number, pass) is not { } p) continue;
                policy.FullBytes += (long)t.Shape.Size * sizeof(Real); policy.PackedBytes += p.Bytes;
                t.Pack(p); packed.Add(t);
            }
            scope.Parts.Add(new(firstStep, packed));
        }
    }
}
