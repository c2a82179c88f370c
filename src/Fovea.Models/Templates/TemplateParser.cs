namespace Fovea.Models;

/// <summary>Reads statements.</summary>
sealed class TemplateParser(List<TemplateToken> tokens) : TemplateExpressions(tokens)
{
    const int Deepest = 64;
    int depth;
    TemplatePlace ended;      // where the tag stands that ended the last body

    public static TemplateNode[] Parse(string template)
    {
        var parser = new TemplateParser(TemplateLexer.Read(template));
        var all = parser.Body(out string end);
        return end == "" ? all : throw parser.ended.Bad($"'{end}' closes nothing");
    }

    /// <summary>Statements up to a tag that ends or divides a block (end, else, elif), whose name has been read; "" at the end of the template.</summary>
    TemplateNode[] Body(out string end)
    {
        if (++depth > Deepest) throw Now.Place.Bad($"blocks nested more than {Deepest} deep");
        var nodes = new List<TemplateNode>();
        while (true)
        {
            var token = Next();
            if (token.Kind == TokenKind.Text) nodes.Add(new TemplateNode.Text(token.Place, token.Text));
            else if (token.Kind == TokenKind.ExpressionStart) { nodes.Add(new TemplateNode.Show(token.Place, Several())); Close(); }
            else if (token.Kind == TokenKind.StatementStart)
            {
                string name = ExpectName();
                if (name is "else" or "elif" || name.StartsWith("end", StringComparison.Ordinal)) { (end, ended) = (name, token.Place); break; }
                nodes.Add(Statement(token.Place, name));
            }
            else { end = ""; break; }
        }
        depth--;
        return [.. nodes];
    }

    void Close() { if (Now.Kind != TokenKind.End) throw Unexpected("the end of the tag"); Next(); }

    TemplateNode[] BodyTo(string expected, TemplatePlace opened)
    {
        var body = Body(out string end);
        if (end != expected) throw opened.Bad($"this block is ended by '{end}', expected '{expected}'");
        Close();
        return body;
    }

    TemplateNode Statement(TemplatePlace place, string name)
    {
        switch (name)
        {
            case "if": return If(place);
            case "for": return For(place);
            case "set": return Set(place);
            case "macro": return Macro(place);
            case "break": Close(); return new TemplateNode.Leave(place, true);
            case "continue": Close(); return new TemplateNode.Leave(place, false);
            // Marks what an assistant wrote, for training; it writes its body.
            case "generation": Close(); return new TemplateNode.Block(place, BodyTo("endgeneration", place));
            default: throw place.Bad($"the statement '{name}' is not supported");
        }
    }

    TemplateNode.If If(TemplatePlace place)
    {
        var branches = new List<(TemplateExpr?, TemplateNode[])>(); TemplateExpr? when = Expression();
        while (true)
        {
            Close();
            var body = Body(out string end);
            branches.Add((when, body));
            if (end == "endif") { Close(); return new(place, [.. branches]); }
            if (when is null || end is not ("elif" or "else")) throw place.Bad($"this 'if' is followed by '{end}', expected 'endif'");
            when = end == "elif" ? Expression() : null;
        }
    }

    TemplateNode.For For(TemplatePlace place)
    {
        var names = Names();
        Expect("in");
        var over = Expression(); TemplateExpr? where = null;
        // "for x in list if test" has been read as a choice without an else.
        if (over is TemplateExpr.Choice { Else: null } c) (over, where) = (c.Then, c.If);
        if (Now.Is("recursive")) throw Now.Place.Bad("a recursive loop is not supported");
        Close();
        var body = Body(out string end); TemplateNode[] otherwise = [];
        if (end == "else") { Close(); otherwise = Body(out end); }
        if (end != "endfor") throw place.Bad($"this 'for' is ended by '{end}', expected 'endfor'");
        Close();
        return new(place, names, over, where, body, otherwise);
    }

    string[] Names()
    {
        bool bracket = Take("("); var names = new List<string> { ExpectName() };
        while (Take(",")) names.Add(ExpectName());
        if (bracket) Expect(")");
        return [.. names];
    }

    TemplateNode.Set Set(TemplatePlace place)
    {
        var names = Names(); string? member = names.Length == 1 && Take(".") ? ExpectName() : null;
        if (Take("=")) { var value = Several(); Close(); return new(place, names, member, value, []); }
        if (names.Length > 1 || member is not null) throw Unexpected("'='");
        Close();
        return new(place, names, null, null, BodyTo("endset", place));
    }

    TemplateNode.Macro Macro(TemplatePlace place)
    {
        string name = ExpectName(); var parameters = new List<(string, TemplateExpr?)>();
        Expect("(");
        while (!Take(")"))
        {
            string parameter = ExpectName();
            parameters.Add((parameter, Take("=") ? Expression() : null));
            if (!Now.Is(")")) Expect(",");
        }
        Close();
        return new(place, name, [.. parameters], BodyTo("endmacro", place));
    }
}
