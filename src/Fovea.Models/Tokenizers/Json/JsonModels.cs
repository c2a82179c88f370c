using System.Text;
namespace Fovea.Models;

/// <summary>The "model" of a tokenizer.json: its tokens by id, and how it makes them.</summary>
sealed class JsonModels
{
    readonly JsonPart part;
    public Dictionary<string, int> Ids { get; } = new(StringComparer.Ordinal);

    public JsonModels(JsonPart part)
    {
        this.part = part;
        Kind = part["type"].Text(part["merges"].IsNull ? "Unigram" : "BPE");
        if (Kind == "BPE") foreach (var (text, id) in part["vocab"].Members()) Add(text, id.Whole());
        else if (Kind == "Unigram") foreach (var entry in part["vocab"].Items()) Add(Pair(entry).First.Text(), Texts++, twice: true);
        else throw part.Unsupported($"the model '{Kind}'");
    }

    public string Kind { get; }
    int Texts { get; set; }

    void Add(string text, int id, bool twice = false)
    {
        if (id < 0) throw new InvalidDataException($"{part.Path}.vocab: token '{text}' has id {id}, expected at least 0");
        // Of equal texts of a unigram model the last counts.
        if (twice) Ids[text] = id;
        else if (!Ids.TryAdd(text, id)) throw new InvalidDataException($"{part.Path}.vocab: token '{text}' occurs twice");
    }

    static (JsonPart First, JsonPart Second) Pair(JsonPart part) => part.Items().Take(3).ToArray() is [var a, var b] ? (a, b) : throw new InvalidDataException($"{part.Path} is not a pair");

    /// <summary>Ids that the model knows are below this.</summary>
    public int Count => Kind == "Unigram" ? Texts : Ids.Count == 0 ? 0 : Ids.Values.Max() + 1;

    /// <summary>The model over texts by id, in the byte alphabet or not; also whether it makes the same of words as of whole texts.</summary>
    public ISubwordModel Make(string[] texts, bool letters, out bool wordwise)
    {
        var table = new TokenTable([.. texts.Take(Count).Select(t => letters ? ByteAlphabet.TryDecode(t) ?? [] : Encoding.UTF8.GetBytes(t))]);
        wordwise = false;
        if (Kind == "Unigram") return Unigram(table);
        foreach (string key in (string[])["continuing_subword_prefix", "end_of_word_suffix"]) if (part[key].Text("").Length > 0) throw part[key].Unsupported("any text");
        if (!part["dropout"].IsNull && part["dropout"].Number() != 0) throw part["dropout"].Unsupported("chance");
        int unknown = part["unk_token"].IsNull ? -1 : Ids.TryGetValue(part["unk_token"].Text(), out int id) ? id : throw new InvalidDataException($"{part.Path}.unk_token is '{part["unk_token"].Text()}', which is not in the vocabulary");
        var options = new BytePairOptions
        {
            Bytes = letters,
            WholeFirst = part["ignore_merges"].Flag(false),
            ByteFallback = part["byte_fallback"].Flag(false),
            Unknown = unknown,
            SkipUnknown = true,
            FuseUnknown = part["fuse_unk"].Flag(false),
        };
        wordwise = !options.WholeFirst && (unknown < 0 || !options.FuseUnknown || (options.ByteFallback && Enumerable.Range(0, 256).All(b => Ids.ContainsKey($"<0x{b:X2}>"))));
        return new BytePairModel(table, Merges(letters), options, lenient: false);
    }

    List<(byte[], byte[])> Merges(bool letters)
    {
        var all = new List<(byte[], byte[])>();
        foreach (var rule in part["merges"].Items())
        {
            if (rule.IsArray) { var (a, b) = Pair(rule); all.Add((Form(a.Text()), Form(b.Text()))); continue; }
            string text = rule.Text(); int cut = text.IndexOf(' ');
            if (cut < 0 || text.IndexOf(' ', cut + 1) >= 0) throw new InvalidDataException($"{rule.Path} is '{text}', expected two parts with a space between");
            all.Add((Form(text[..cut]), Form(text[(cut + 1)..])));
        }
        return all;
        byte[] Form(string text) => letters ? ByteAlphabet.TryDecode(text) ?? Encoding.UTF8.GetBytes(text) : Encoding.UTF8.GetBytes(text);
    }

    UnigramModel Unigram(TokenTable table)
    {
        double[] scores = [.. part["vocab"].Items().Select(e => Pair(e).Second.Decimal())];
        int unknown = part["unk_id"].IsNull ? -1 : part["unk_id"].Whole();
        if (unknown < -1 || unknown >= Texts) throw new InvalidDataException($"{part.Path}.unk_id is {unknown}, expected less than {Texts}");
        return new(table, scores, i => true, scores.Length == 0 ? 0 : scores.Min(), unknown, part["byte_fallback"].Flag(false));
    }
}
