using System.Text;
using System.Text.Json;
namespace Fovea.Models;

/// <summary>Reads a tokenizer.json of the Hugging Face tokenizers library. A part that is not supported is an <see cref="InvalidDataException"/> that names it.</summary>
static class JsonTokenizer
{
    const int Deepest = 32;

    public static SubwordTokenizer Read(ReadOnlyMemory<byte> json, string name, string? bos, string? eos)
    {
        try
        {
            using var document = JsonDocument.Parse(json, new() { MaxDepth = Deepest });
            return Read(new(document.RootElement, name), bos, eos);
        }
        // Text in JSON that is no text (half a surrogate pair, bytes that are no UTF-8) shows as InvalidOperationException.
        catch (Exception e) when (e is JsonException or InvalidOperationException) { throw new InvalidDataException($"{name}: {e.Message}", e); }
    }

    static SubwordTokenizer Read(JsonPart root, string? bos, string? eos)
    {
        var model = new JsonModels(root["model"]);
        var added = root["added_tokens"].IsNull ? [] : root["added_tokens"].Items().Select(p => new Added(p, model.Ids)).Where(a => a.Text.Length > 0).ToArray();
        string[] texts = Texts(model, added, root.Path);
        var steps = JsonSteps.Read(root["pre_tokenizer"]).ToList();
        bool letters = steps.Any(s => s is ByteLevel);
        var normaliser = JsonNormalisers.Read(root["normalizer"]);
        var decoder = new JsonDecoders(root["decoder"]);
        var special = added.Where(a => a.Control).Select(a => a.Id).ToHashSet();
        var subwords = model.Make(texts, letters, out bool wordwise);
        if (wordwise && !letters && steps is [] or [Metaspace]) steps.AddRange(SpaceSplit.For(texts));
        var named = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (var a in added) named[a.Text] = a.Id;
        var (before, behind) = JsonBoundaries.Read(root["post_processor"]);
        if (before.Concat(behind).Any(id => (uint)id >= (uint)texts.Length)) throw new InvalidDataException($"{root.Path}.post_processor names a token outside the vocabulary of {texts.Length}");
        int? Named(string? text) => text is not null && (named.TryGetValue(text, out int id) || model.Ids.TryGetValue(text, out id)) ? id : null;
        return new(new()
        {
            Model = subwords,
            Pieces = [.. texts.Select(decoder.Piece)],
            Control = [.. texts.Select((_, i) => special.Contains(i))],
            Normaliser = normaliser,
            Steps = [.. steps],
            Special = Find(added.Where(a => !a.Normalised), null),
            SpecialNormalised = added.Any(a => a.Normalised) ? Find(added.Where(a => a.Normalised), normaliser) : null,
            Named = named,
            Before = before,
            Behind = behind,
            Bos = Named(bos),
            Eos = Named(eos),
            Ends = GgufSpecials.Ends(named, [Named(eos)]),
            LeadingSpaces = decoder.LeadingSpaces,
        });
    }

    sealed record Added(int Id, string Text, bool Control, bool Normalised, bool Left, bool Right, bool Single)
    {
        public Added(JsonPart p, Dictionary<string, int> ids) : this(ids.TryGetValue(p["content"].Text(), out int known) ? known : p["id"].Whole(), p["content"].Text(), p["special"].Flag(false),
            p["normalized"].Flag(!p["special"].Flag(false)), p["lstrip"].Flag(false), p["rstrip"].Flag(false), p["single_word"].Flag(false))
        { }
    }

    static SpecialTokens Find(IEnumerable<Added> added, Normaliser? normaliser) => new(added.Select(a => new SpecialToken(a.Id, Normal(a.Text, normaliser))
    {
        Control = a.Control,
        StripLeft = a.Left,
        StripRight = a.Right,
        SingleWord = a.Single,
    }), byLength: false);

    static byte[] Normal(string text, Normaliser? normaliser)
    {
        if (normaliser is null) return Encoding.UTF8.GetBytes(text);
        var t = new PieceText();
        t.Add(CodePoints.Of(text));
        return CodePoints.Encode(normaliser.Apply(t).All);
    }

    /// <summary>The text of every id; ids without one are empty, and no more of them than a few per token are believed.</summary>
    static string[] Texts(JsonModels model, Added[] added, string path)
    {
        long most = 4L * (model.Ids.Count + added.Length) + 1024; int count = model.Count;
        foreach (var a in added) count = a.Id >= 0 && a.Id < most ? Math.Max(count, a.Id + 1) : throw new InvalidDataException($"{path}.added_tokens: '{a.Text}' has id {a.Id}, expected 0 to {most - 1}");
        if (count > most) throw new InvalidDataException($"{path}.model.vocab has an id of {count - 1}, expected less than {most} for {model.Ids.Count} tokens");
        var texts = new string[count];
        Array.Fill(texts, "");
        foreach (var (text, id) in model.Ids) texts[id] = texts[id].Length == 0 ? text : throw new InvalidDataException($"{path}.model.vocab: '{text}' and '{texts[id]}' have the same id {id}");
        foreach (var a in added) texts[a.Id] = a.Text;
        return texts;
    }
}

/// <summary>The "post_processor" of a tokenizer.json: the ids that go before and behind a single text.</summary>
static class JsonBoundaries
{
    public static (int[] Before, int[] Behind) Read(JsonPart part)
    {
        if (part.IsNull) return ([], []);
        switch (part.Type())
        {
            case "ByteLevel": return ([], []);
            case "Sequence":
                var all = part["processors"].Items().Select(Read).ToArray();
                return ([.. Enumerable.Reverse(all).SelectMany(p => p.Before)], [.. all.SelectMany(p => p.Behind)]);
            case "BertProcessing" or "RobertaProcessing": return ([Id(part["cls"])], [Id(part["sep"])]);
            case "TemplateProcessing": return Template(part);
            case var other: throw part.Unsupported($"the post-processor '{other}'");
        }
    }

    static int Id(JsonPart pair) => pair.Items().Take(3).ToArray() is [_, var id] ? id.Whole() : throw new InvalidDataException($"{pair.Path} is not a pair");

    static (int[], int[]) Template(JsonPart part)
    {
        var before = new List<int>(); var behind = new List<int>(); bool text = false;
        foreach (var piece in part["single"].Items())
        {
            if (!piece["Sequence"].IsNull) { text = !text ? true : throw piece.Unsupported("a second text"); continue; }
            foreach (var id in part["special_tokens"][piece["SpecialToken"]["id"].Text()]["ids"].Items()) (text ? behind : before).Add(id.Whole());
        }
        return ([.. before], [.. behind]);
    }
}
