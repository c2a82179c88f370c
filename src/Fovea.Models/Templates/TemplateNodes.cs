namespace Fovea.Models;

/// <summary>An expression; Depth is how deep expressions stand in it.</summary>
abstract record TemplateExpr(TemplatePlace Place)
{
    public int Depth { get; set; } = 1;

    public sealed record Constant(TemplatePlace Place, object? Value) : TemplateExpr(Place);
    public sealed record Name(TemplatePlace Place, string Id) : TemplateExpr(Place);
    public sealed record Items(TemplatePlace Place, TemplateExpr[] Parts, bool IsTuple) : TemplateExpr(Place);
    public sealed record Map(TemplatePlace Place, (TemplateExpr Key, TemplateExpr Value)[] Parts) : TemplateExpr(Place);
    /// <summary>a.b and a[b]: of objects a member, of lists and texts an item.</summary>
    public sealed record Member(TemplatePlace Place, TemplateExpr Of, TemplateExpr Key) : TemplateExpr(Place);
    public sealed record Slice(TemplatePlace Place, TemplateExpr Of, TemplateExpr? From, TemplateExpr? To, TemplateExpr? Step) : TemplateExpr(Place);
    public sealed record Call(TemplatePlace Place, TemplateExpr Of, Arguments With) : TemplateExpr(Place);
    public sealed record Filter(TemplatePlace Place, TemplateExpr Of, string Id, Arguments With) : TemplateExpr(Place);
    public sealed record Test(TemplatePlace Place, TemplateExpr Of, string Id, Arguments With, bool Negated) : TemplateExpr(Place);
    public sealed record Unary(TemplatePlace Place, string Sign, TemplateExpr Of) : TemplateExpr(Place);
    public sealed record Binary(TemplatePlace Place, string Sign, TemplateExpr Left, TemplateExpr Right) : TemplateExpr(Place);
    public sealed record Choice(TemplatePlace Place, TemplateExpr If, TemplateExpr Then, TemplateExpr? Else) : TemplateExpr(Place);
    public sealed record Arguments(TemplateExpr[] Plain, (string Name, TemplateExpr Value)[] Named);
}

/// <summary>A statement.</summary>
abstract record TemplateNode(TemplatePlace Place)
{
    public sealed record Text(TemplatePlace Place, string Value) : TemplateNode(Place);
    public sealed record Show(TemplatePlace Place, TemplateExpr Value) : TemplateNode(Place);
    public sealed record If(TemplatePlace Place, (TemplateExpr? When, TemplateNode[] Body)[] Branches) : TemplateNode(Place);
    public sealed record For(TemplatePlace Place, string[] Names, TemplateExpr Over, TemplateExpr? Where, TemplateNode[] Body, TemplateNode[] Else) : TemplateNode(Place);
    /// <summary>Names, or one member of a namespace, become a value; without a value, what the body writes.</summary>
    public sealed record Set(TemplatePlace Place, string[] Names, string? Member, TemplateExpr? Value, TemplateNode[] Body) : TemplateNode(Place);
    public sealed record Macro(TemplatePlace Place, string Name, (string Name, TemplateExpr? Default)[] Parameters, TemplateNode[] Body) : TemplateNode(Place);
    public sealed record Block(TemplatePlace Place, TemplateNode[] Body) : TemplateNode(Place);
    /// <summary>break (true) or continue.</summary>
    public sealed record Leave(TemplatePlace Place, bool Loop) : TemplateNode(Place);
}
