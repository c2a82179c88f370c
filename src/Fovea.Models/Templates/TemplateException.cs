namespace Fovea.Models;

/// <summary>A template that cannot be read or carried out: what is wrong, and where. Also what the template itself raises.</summary>
public sealed class TemplateException(string what, int line, int column) : Exception($"line {line}, column {column}: {what}")
{
    /// <summary>Counted from 1.</summary>
    public int Line => line;
    /// <summary>Counted from 1, in UTF-16 units.</summary>
    public int Column => column;
}

/// <summary>A place in a template.</summary>
readonly record struct TemplatePlace(int Line, int Column)
{
    public TemplateException Bad(string what) => new(what, Line, Column);
}
