namespace Fovea.Models;

/// <summary>Reads expressions, the loosest binding first: if-else, or, and, not, comparisons, + − ~, * / // %, signs, **, then what follows a value.</summary>
class TemplateExpressions(List<TemplateToken> tokens)
{
    const int Deepest = 200;
    int at, depth;

    protected TemplateToken Now => tokens[at];
    protected TemplateToken Next() => tokens[at++];
    protected bool Take(string sign)
    {
        if (!Now.Is(sign)) return false;
        at++;
        return true;
    }
    protected void Expect(string sign) { if (!Take(sign)) throw Unexpected($"'{sign}'"); }
    protected string ExpectName() => Now.Kind == TokenKind.Name ? Next().Text : throw Unexpected("a name");
    protected TemplateException Unexpected(string expected) => Now.Place.Bad($"found {(Now.Kind == TokenKind.Done ? "the end" : $"'{Now.Text}'")}, expected {expected}");

    T Deep<T>(T node, params ReadOnlySpan<TemplateExpr?> parts) where T : TemplateExpr
    {
        foreach (var part in parts) node.Depth = Math.Max(node.Depth, 1 + (part?.Depth ?? 0));
        return node.Depth <= Deepest ? node : throw node.Place.Bad($"an expression more than {Deepest} deep");
    }

    public TemplateExpr Expression()
    {
        TemplateRun.Room(Now.Place);
        if (++depth > Deepest / 4) throw Now.Place.Bad($"an expression more than {Deepest / 4} brackets deep");
        var value = Or();
        while (Now.Is("if"))
        {
            var place = Next().Place; var when = Or(); var otherwise = Take("else") ? Expression() : null;
            value = Deep(new TemplateExpr.Choice(place, when, value, otherwise), when, value, otherwise);
        }
        depth--;
        return value;
    }

    /// <summary>An expression, or several with commas as a list.</summary>
    protected TemplateExpr Several()
    {
        var first = Expression();
        if (!Now.Is(",")) return first;
        var parts = new List<TemplateExpr> { first };
        while (Take(",") && Now.Kind != TokenKind.End) parts.Add(Expression());
        return Deep(new TemplateExpr.Items(first.Place, [.. parts], IsTuple: true), [.. parts]);
    }

    TemplateExpr Left(Func<TemplateExpr> part, params ReadOnlySpan<string> signs)
    {
        var value = part();
        while (Now.Kind is TokenKind.Sign or TokenKind.Name && signs.Contains(Now.Text))
        {
            var sign = Next(); var right = part();
            value = Deep(new TemplateExpr.Binary(sign.Place, sign.Text, value, right), value, right);
        }
        return value;
    }

    TemplateExpr Or() => Left(And, "or");
    TemplateExpr And() => Left(Not, "and");
    TemplateExpr Not()
    {
        if (!Now.Is("not")) return Compare();
        var place = Next().Place;
        if (++depth > Deepest / 4) throw place.Bad("too many 'not' in a row");
        var of = Not();
        depth--;
        return Deep(new TemplateExpr.Unary(place, "not", of), of);
    }

    TemplateExpr Compare()
    {
        var value = Sum(); TemplateExpr? all = null;
        while (true)
        {
            var place = Now.Place; string sign = Now.Text;
            if (Now.Is("not") && tokens[at + 1].Is("in")) { at += 2; sign = "not in"; }
            else if (Now.Is("in") || Now.Kind == TokenKind.Sign && sign is "==" or "!=" or "<" or "<=" or ">" or ">=") at++;
            else return all ?? value;
            var right = Sum();
            TemplateExpr one = Deep(new TemplateExpr.Binary(place, sign, value, right), value, right);
            // a < b < c is a < b and b < c.
            all = all is null ? one : Deep(new TemplateExpr.Binary(place, "and", all, one), all, one);
            value = right;
        }
    }

    TemplateExpr Sum() => Left(Product, "+", "-", "~");
    TemplateExpr Product() => Left(Signed, "*", "/", "//", "%");
    TemplateExpr Signed()
    {
        if (!Now.Is("-") && !Now.Is("+")) return Power();
        var sign = Next();
        if (++depth > Deepest / 4) throw sign.Place.Bad("too many signs in a row");
        var of = Signed();
        depth--;
        return Deep(new TemplateExpr.Unary(sign.Place, sign.Text, of), of);
    }
    TemplateExpr Power() => Left(Followed, "**");

    TemplateExpr Followed()
    {
        var value = Primary();
        while (true)
        {
            var place = Now.Place;
            if (Take("."))
            {
                var key = Now.Kind == TokenKind.Number && Now.Value is long n ? new TemplateExpr.Constant(Next().Place, n) : new TemplateExpr.Constant(place, ExpectName());
                value = Deep(new TemplateExpr.Member(place, value, key), value);
            }
            else if (Take("[")) value = Item(place, value);
            else if (Now.Is("(")) { var with = Arguments(); value = Deep(new TemplateExpr.Call(place, value, with), [value, .. All(with)]); }
            else if (Take("|"))
            {
                string name = ExpectName(); var with = Now.Is("(") ? Arguments() : new([], []);
                value = Deep(new TemplateExpr.Filter(place, value, name, with), [value, .. All(with)]);
            }
            else if (Now.Is("is")) value = Test(value);
            else return value;
        }
    }

    TemplateExpr Item(TemplatePlace place, TemplateExpr of)
    {
        TemplateExpr? from = null, to = null, step = null;
        if (!Now.Is(":")) from = Expression();
        if (from is not null && Take("]")) return Deep(new TemplateExpr.Member(place, of, from), of, from);
        Expect(":");
        if (!Now.Is(":") && !Now.Is("]")) to = Expression();
        if (Take(":") && !Now.Is("]")) step = Expression();
        Expect("]");
        return Deep(new TemplateExpr.Slice(place, of, from, to, step), of, from, to, step);
    }

    TemplateExpr Test(TemplateExpr of)
    {
        var place = Next().Place; bool negated = Take("not"); string name = Now.Kind == TokenKind.Sign ? Next().Text : ExpectName();
        TemplateExpr.Arguments with = new([], []);
        if (Now.Is("(")) with = Arguments();
        // A test with one argument may do without brackets: x is divisibleby 2.
        else if (Now.Kind is TokenKind.Number or TokenKind.String || (Now.Kind == TokenKind.Name && Now.Text is not ("and" or "or" or "else" or "if" or "is" or "in" or "not")) || Now.Is("[")) with = new([Primary()], []);
        return Deep(new TemplateExpr.Test(place, of, name, with, negated), [of, .. All(with)]);
    }

    TemplateExpr.Arguments Arguments()
    {
        Expect("(");
        var plain = new List<TemplateExpr>(); var named = new List<(string, TemplateExpr)>();
        while (!Take(")"))
        {
            if (Now.Kind == TokenKind.Name && tokens[at + 1].Is("=")) { string name = Next().Text; at++; named.Add((name, Expression())); }
            else if (named.Count > 0) throw Unexpected("a named argument");
            else plain.Add(Expression());
            if (!Now.Is(")")) Expect(",");
        }
        return new([.. plain], [.. named]);
    }
    static IEnumerable<TemplateExpr> All(TemplateExpr.Arguments with) => with.Plain.Concat(with.Named.Select(n => n.Value));

    TemplateExpr Primary()
    {
        var token = Next();
        switch (token.Kind)
        {
            case TokenKind.Number: return new TemplateExpr.Constant(token.Place, token.Value);
            case TokenKind.String:
                string text = token.Text;
                while (Now.Kind == TokenKind.String) text += Next().Text;
                return new TemplateExpr.Constant(token.Place, text);
            case TokenKind.Name:
                return token.Text switch
                {
                    "true" or "True" => new TemplateExpr.Constant(token.Place, true),
                    "false" or "False" => new TemplateExpr.Constant(token.Place, false),
                    "none" or "None" => new TemplateExpr.Constant(token.Place, null),
                    "and" or "or" or "not" or "in" or "is" or "if" or "else" => throw token.Place.Bad($"found '{token.Text}', expected a value"),
                    _ => new TemplateExpr.Name(token.Place, token.Text),
                };
            case TokenKind.Sign when token.Text == "(": return List(token.Place, ")");
            case TokenKind.Sign when token.Text == "[": return List(token.Place, "]");
            case TokenKind.Sign when token.Text == "{": return Map(token.Place);
        }
        at--;
        throw Unexpected("a value");
    }

    TemplateExpr List(TemplatePlace place, string end)
    {
        var parts = new List<TemplateExpr>(); bool comma = false;
        while (!Take(end)) { parts.Add(Expression()); if (!Now.Is(end)) { Expect(","); comma = true; } }
        return end == ")" && parts.Count == 1 && !comma ? parts[0] : Deep(new TemplateExpr.Items(place, [.. parts], end == ")"), [.. parts]);
    }

    TemplateExpr Map(TemplatePlace place)
    {
        var parts = new List<(TemplateExpr Key, TemplateExpr Value)>();
        while (!Take("}"))
        {
            var key = Expression();
            Expect(":");
            parts.Add((key, Expression()));
            if (!Now.Is("}")) Expect(",");
        }
        return Deep(new TemplateExpr.Map(place, [.. parts]), [.. parts.SelectMany(p => (TemplateExpr[])[p.Key, p.Value])]);
    }
}
