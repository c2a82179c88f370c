using System.Text;
namespace Fovea.Models;

/// <summary>Reads the vocabulary of a GGUF file: "tokenizer.ggml.…", or a whole tokenizer.json.</summary>
static class GgufTokenizer
{
    const string Prefix = "tokenizer.ggml.";
    const int Normal = 1, UnknownKind = 2, Control = 3, UserDefined = 4, Unused = 5, ByteKind = 6;

    public static SubwordTokenizer Read(GgufFile file, string name)
    {
        if (!file.Has(Prefix + "model") && file.Has(GgufTokenizerKeys.Json)) return JsonTokenizer.Read(Encoding.UTF8.GetBytes(file.Text(GgufTokenizerKeys.Json)), name, file.Text(GgufTokenizerKeys.Bos, null), file.Text(GgufTokenizerKeys.Eos, null));
        string model = file.Text(Prefix + "model");
        string[] texts = file.Texts(Prefix + "tokens");
        long[] kinds = Column(file.TryWholes(Prefix + "token_type", out var k) ? k : null, "token_type", () => 1L);
        double[] scores = Column(file.TryNumbers(Prefix + "scores", out var s) ? s : null, "scores", () => 0.0);
        if (scores.Contains(double.NaN)) throw Bad("scores hold something that is not a number");
        var ids = new Dictionary<string, int>(texts.Length, StringComparer.Ordinal);
        for (int i = 0; i < texts.Length; i++)
        {
            if (texts[i].Length == 0) texts[i] = $"[EMPTY_{i}]";
            if (!ids.TryAdd(texts[i], i)) throw Bad($"token '{texts[i]}' has ids {ids[texts[i]]} and {i}");
        }
        GgufSpecials.Correct(ids, kinds);
        var rule = model is "gpt2" or "gemma4" ? GgufRule.Of(model == "gemma4" ? model : file.Text(Prefix + "pre", ""), name) : new();
        bool letters = model == "gpt2" && !rule.Text;

        int? Id(string key, int? usual) => file.Has(Prefix + key) && file.Whole(Prefix + key) is >= 0 and var id && id < texts.Length ? (int)id : usual < texts.Length ? usual : null;
        var (bos, eos, unknown) = model switch
        {
            "llama" => (Id("bos_token_id", 1), Id("eos_token_id", 2), Id("unknown_token_id", 0)),
            "gpt2" => (Id("bos_token_id", 11), Id("eos_token_id", 11), Id("unknown_token_id", null)),
            "gemma4" => (Id("bos_token_id", null), Id("eos_token_id", null), Id("unknown_token_id", null)),
            "t5" => (Id("bos_token_id", null), Id("eos_token_id", 1), Id("unknown_token_id", 2)),
            _ => throw Bad($"metadata '{Prefix}model' is '{model}', expected gpt2, llama, t5 or gemma4"),
        };
        bool addBos = file.Flag(Prefix + "add_bos_token", model == "llama" || rule.Bos) || model == "gemma4", addEos = file.Flag(Prefix + "add_eos_token", model == "t5");
        if (addBos && bos is null) throw Bad("wants a first token but names none");
        if (addEos && eos is null) throw Bad("wants a last token but names none");

        // The form in which the model looks tokens up; one that is not written in the byte alphabet is never made of merges.
        var table = new TokenTable([.. texts.Select(t => letters ? ByteAlphabet.TryDecode(t) ?? [] : Encoding.UTF8.GetBytes(t))]);
        var pieces = new byte[texts.Length][];
        for (int i = 0; i < pieces.Length; i++) pieces[i] = Piece(i);
        bool prefix = file.Flag(Prefix + "add_space_prefix", model == "llama"), merge = file.Flag(Prefix + "remove_extra_whitespaces", false);
        return new(new()
        {
            Model = model switch
            {
                "llama" => new ScoreModel(table, scores, unknown ?? -1),
                "t5" => Unigram(),
                _ => new BytePairModel(table, Merges(), new() { Bytes = letters, WholeFirst = rule.WholeFirst, WholeLines = rule.Text, ByteFallback = !letters }, lenient: true),
            },
            Pieces = pieces,
            Control = [.. kinds.Select(kind => kind is UnknownKind or Control)],
            Normaliser = model switch
            {
                "llama" => prefix ? new InOrder(new Prepend([' ']), EachCharacter.Replace(' ', 0x2581)) : EachCharacter.Replace(' ', 0x2581),
                "t5" => new SentencePieceText(Rules(), new(Of(UserDefined)), prefix, merge),
                _ => rule.Text ? EachCharacter.Replace(' ', 0x2581) : null,
            },
            Steps = model == "llama" ? SpaceSplit.For(texts) : rule.Steps,
            Special = new(Of(UnknownKind, Control, UserDefined).Select(t => new SpecialToken(t.Id, t.Text)
            {
                Control = kinds[t.Id] is UnknownKind or Control,
                StripRight = GgufSpecials.StripsRight(file.Text("general.name", ""), texts[t.Id]),
                StripLeft = texts[t.Id] == "<mask>" && file.Text(Prefix + "pre", "").StartsWith("jina-v2-", StringComparison.Ordinal),
            }), byLength: true),
            Named = Of(UnknownKind, Control, UserDefined).ToDictionary(t => texts[t.Id], t => t.Id),
            Before = addBos ? [bos!.Value] : [],
            Behind = addEos ? [eos!.Value] : [],
            Bos = bos,
            Eos = eos,
            Ends = GgufSpecials.Ends(ids, [eos, Id("eot_token_id", null), Id("eom_token_id", null)]),
            LeadingSpaces = prefix && model != "gpt2" ? 1 : 0,
        });

        T[] Column<T>(T[]? given, string key, Func<T> usual) => given is null ? [.. texts.Select(_ => usual())]
            : given.Length >= texts.Length ? given[..texts.Length] : throw Bad($"metadata '{Prefix}{key}' has {given.Length} entries for {texts.Length} tokens");
        IEnumerable<(byte[] Text, int Id)> Of(params long[] which) => Enumerable.Range(0, texts.Length).Where(i => which.Contains(kinds[i])).Select(i => (Encoding.UTF8.GetBytes(texts[i]), i));
        byte[] Piece(int i) => kinds[i] switch
        {
            ByteKind when texts[i] is ['<', '0', 'x', var high, var low, '>'] && char.IsAsciiHexDigit(high) && char.IsAsciiHexDigit(low) => Convert.FromHexString([high, low]),
            UnknownKind or Control or UserDefined => Encoding.UTF8.GetBytes(texts[i]),
            _ => letters ? ByteAlphabet.TryDecode(texts[i]) ?? Encoding.UTF8.GetBytes(texts[i]) : Encoding.UTF8.GetBytes(texts[i].Replace('▁', ' ')),
        };
        List<(byte[], byte[])> Merges()
        {
            var all = new List<(byte[], byte[])>();
            foreach (string merge in file.Texts(Prefix + "merges"))
            {
                int cut = merge.IndexOf(' ', Math.Min(1, merge.Length));
                if (cut < 0) throw Bad($"merge {all.Count} is '{merge}', expected two parts with a space between");
                all.Add((Form(merge[..cut]), Form(merge[(cut + 1)..])));
            }
            return all;
        }
        byte[] Form(string text) => letters ? ByteAlphabet.TryDecode(text) ?? Encoding.UTF8.GetBytes(text) : Encoding.UTF8.GetBytes(text);
        CharsMap? Rules() => file.TryWholes(Prefix + "precompiled_charsmap", out var map) ? new([.. map.Select(x => unchecked((byte)x))]) : null;
        UnigramModel Unigram()
        {
            double smallest = 0;
            for (int i = 0; i < texts.Length; i++) if (kinds[i] == Normal) smallest = Math.Min(smallest, scores[i]);
            for (int i = 0; i < texts.Length; i++) if (kinds[i] == UserDefined) scores[i] = 0;
            return new(table, scores, i => kinds[i] is Normal or UserDefined or Unused, smallest, unknown ?? -1, byteFallback: false);
        }
        InvalidDataException Bad(string what) => new($"{name}: {what}");
    }
}
