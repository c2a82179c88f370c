using Fovea.Mechanisms;
namespace Fovea.Models;

/// <summary>
/// Block Transformer (§2): a global-to-local language model. Each block of L tokens becomes one vector, L embeddings of width C/L side by side (embedder); the lower half of the layers runs over block vectors,
/// causally, with positions that count blocks (block decoder); its output h_b becomes, by one linear map, so many prefix vectors before the tokens of block b + 1, and the upper half runs inside
/// that block alone (token decoder). So only the lower half has a past that grows, by one entry per L tokens. A row may begin with padding, so that its tokens fall into blocks in any alignment; padding has an
/// embedding of its own instead of a mask. The first block reads a learned context, so that its tokens are predicted too.
/// </summary>
[From("block-transformer", "§2")]
public sealed class BlockTransformer
{
    readonly Embedding embedder, tokens; readonly Tensor start; readonly Linear expand; readonly Block[] lower, upper; readonly Norm final, between;
    public ModelConfig Config { get; }
    /// <summary>Tokens per block, L.</summary>
    public int Size { get; }
    /// <summary>Vectors that a context becomes.</summary>
    public int Prefix { get; }

    /// <param name="config">Layers are divided in halves, the lower one gets the smaller part.</param>
    public BlockTransformer(ModelConfig config, Weights w, int size = 4, int prefix = 2)
    {
        Config = config.Checked(); (Size, Prefix) = (size, prefix);
        if (size < 1 || prefix < 1 || config.Dim % size != 0 || config.Layers < 2) throw new ArgumentException($"{config.Dim} channels and {config.Layers} layers do not make blocks of {size} tokens with {prefix} prefix vectors and two halves");
        embedder = new(w["embedder"], config.Vocabulary + 1, config.Dim / size); tokens = new(w["tokens"], config.Vocabulary + 1, config.Dim);
        start = w.Get("start", [1, 1, config.Dim], Init.Normal02); expand = new(w["expand"], config.Dim, prefix * config.Dim);
        Block[] Half(string name, int from, int to) => [.. Enumerable.Range(from, to - from).Select(i => new Block(config, w[name][i - from], i, causal: true, ModelConfig.Softmax))];
        lower = Half("block_decoder", 0, config.Layers / 2); upper = Half("token_decoder", config.Layers / 2, config.Layers);
        between = config.Norm(w["block_norm"], config.Dim); final = config.Norm(w["final_norm"], config.Dim);
    }

    /// <summary>tokens [B·N], each row after so many places of padding (0 … L − 1) → logits [B,N,V]; row t is about token t + 1.</summary>
    public Tensor Forward(ReadOnlySpan<int> text, int batch, Pass pass, int padding = 0)
    {
        if (padding < 0 || padding >= Size) throw new ArgumentOutOfRangeException(nameof(padding), padding, $"padding is 0 to {Size - 1}");
        int n = text.Length / batch, blocks = (padding + n + Size) / Size;
        var ids = new int[batch * blocks * Size]; Array.Fill(ids, Config.Vocabulary);
        for (int b = 0; b < batch; b++) text.Slice(b * n, n).CopyTo(ids.AsSpan(b * blocks * Size + padding));
        var context = start.Expand([batch, 1, Config.Dim]);
        if (blocks > 1) context = Tensor.Concat(1, context, Global(ids, batch, pass).Rows(0, blocks - 1));
        var x = Prefixes(context.Reshape([batch * blocks, 1, Config.Dim]));
        if (Size > 1) x = Tensor.Concat(1, x, tokens.Forward(ids, batch * blocks).Rows(0, Size - 1));
        var y = Local(x, pass, Prefix - 1).Reshape([batch, blocks * Size, Config.Vocabulary]);
        return y.Rows(padding + 1, padding + 1 + n);
    }

    public Tensor Loss(ReadOnlySpan<int> text, ReadOnlySpan<int> targets, int batch, Pass pass, int padding = 0) => Forward(text, batch, pass, padding).CrossEntropy(targets);

    // ids [B·K·L] → [B,K,C]: what the block decoder says after each block.
    Tensor Global(ReadOnlySpan<int> ids, int batch, Pass pass)
    {
        var x = embedder.Forward(ids, batch).Reshape([batch, ids.Length / batch / Size, Config.Dim]);
        foreach (var b in lower) x = b.Forward(x, null, pass);
        return between.Forward(x, pass);
    }

    // [R,1,C] → [R,Prefix,C]
    Tensor Prefixes(Tensor context) => expand.Forward(context).Reshape([context.Shape[0], Prefix, Config.Dim]);

    // [R,P,C] → logits [R,P − from,V]
    Tensor Local(Tensor x, Pass pass, int from)
    {
        foreach (var b in upper) x = b.Forward(x, null, pass);
        if (from > 0) x = x.Rows(from, x.Shape[1]);
        return final.Forward(x, pass).MatMulT(tokens.Weight.Slice(0, 0, Config.Vocabulary));
    }

    /// <summary>One text per batch row that goes on token by token. The prompt is seen by the embedder and the block decoder only; the token decoder's cache begins anew with every block.</summary>
    public sealed class Decoding
    {
        readonly BlockTransformer model; readonly int batch; readonly Memory global = new(); Memory local = new(); readonly int[] open; int filled;

        /// <summary>prompt [B·N], N ≥ 1, padded on the left to whole blocks.</summary>
        public Decoding(BlockTransformer model, ReadOnlySpan<int> prompt, int batch)
        {
            (this.model, this.batch) = (model, batch); int n = prompt.Length / batch, size = model.Size, pad = (size - n % size) % size;
            if (n < 1) throw new ArgumentException("a prompt has at least one token");
            open = new int[batch * size];
            var ids = new int[batch * (pad + n)]; Array.Fill(ids, model.Config.Vocabulary);
            for (int b = 0; b < batch; b++) prompt.Slice(b * n, n).CopyTo(ids.AsSpan(b * (pad + n) + pad));
            Logits = Begin(model.Global(ids, batch, new Pass { Memory = global }));
        }

        /// <summary>About the next token, [B,1,V].</summary>
        public Tensor Logits { get; private set; }
        /// <summary>Bytes of both caches.</summary>
        public long Bytes => global.Bytes + local.Bytes;

        /// <summary>Goes on with one token per row.</summary>
        public Tensor Step(ReadOnlySpan<int> next)
        {
            int size = model.Size;
            for (int b = 0; b < batch; b++) open[b * size + filled] = next[b];
            if (++filled < size) return Logits = model.Local(model.tokens.Forward(next, batch), new Pass { Memory = local }, 0);
            filled = 0;
            return Logits = Begin(model.Global(open, batch, new Pass { Memory = global }));
        }

        Tensor Begin(Tensor said)
        {
            local = new();
            int last = said.Shape[1];
            return model.Local(model.Prefixes(said.Rows(last - 1, last)), new Pass { Memory = local }, model.Prefix - 1);
        }
    }
}
