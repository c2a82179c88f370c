namespace Fovea.Models;

/// <summary>Tokens of a piece of text.</summary>
interface ISubwordModel
{
    /// <summary>Appends the ids of a piece.</summary>
    void Encode(ReadOnlySpan<byte> piece, List<int> ids);
}
