"""The attention of `fovea bench` in PyTorch: forward, backward, window, linear and decoding.

Usage: python3 attention.py THREADS [quick]
Prints "peer<TAB>version<TAB>kernel<TAB>size<TAB>threads<TAB>seconds", the best sample of each; processor time on one thread, wall time on more.
Where a result can be written in several ways the fastest counts. Backward at 8192 tokens would store 2 GiB of weights for each product and is left out.
"""
import math, sys, time, torch

threads = int(sys.argv[1]); quick = sys.argv[2:] == ["quick"]
clock = time.process_time if threads == 1 else time.perf_counter
torch.set_num_threads(threads); torch.manual_seed(1)
H = 8


def best(run):
    run(); start = clock(); run(); once = clock() - start
    times = []
    for _ in range(3 if once > 0.5 else max(5, min(60, int(0.5 / max(once, 1e-6))))):
        start = clock(); run(); times.append(clock() - start)
    return min(times)


def say(kernel, size, seconds): print(f"PyTorch\t{torch.__version__}\t{kernel}\t{size}\t{threads}\t{seconds:.9g}", flush=True)


def softmax(q, k, v, mask=None):
    s = torch.matmul(q * q.shape[-1] ** -0.5, k.transpose(-1, -2))
    if mask is not None: s = s + mask
    return torch.matmul(torch.softmax(s, -1), v)


fused = getattr(torch.nn.functional, "scaled_dot_product_attention", None)


def ways(q, k, v, causal):
    """Every way to write it."""
    mask = torch.full((q.shape[1], k.shape[1]), -math.inf).triu(1) if causal else None
    yield lambda: softmax(q, k, v, mask)
    if fused: yield lambda: fused(q[None], k[None], v[None], is_causal=causal)[0]


def backward(make, inputs, grad):
    def once():
        o = make(); start = clock(); torch.autograd.grad(o, inputs, grad); return clock() - start
    once(); first = once()
    return min(once() for _ in range(3 if first > 0.5 else 7))


for n, d in [(512, 64), (512, 128), (2048, 64)] + ([] if quick else [(2048, 128), (8192, 64), (8192, 128)]):
    size = f"{H} heads, {n} tokens, {d}"
    q, k, v, g = (torch.randn(H, n, d) for _ in range(4))
    for name, causal in (("", False), (", causal", True)):
        with torch.no_grad(): say("attention forward" + name, size, min(best(w) for w in ways(q, k, v, causal)))
        if n < 8192:
            x = [t.clone().requires_grad_() for t in (q, k, v)]
            say("attention backward" + name, size, min(backward(w, x, g) for w in ways(*x, causal)))

for n in [2048] + ([] if quick else [8192]):
    d = 64; width = round(n * (1 - math.sqrt(0.8))); size = f"{H} heads, {n} tokens, {d}"
    q, k, v = (torch.randn(H, n, d) for _ in range(3))
    away = torch.arange(n)[:, None] - torch.arange(n)[None, :]
    mask = torch.where((away >= 0) & (away < width), 0.0, -math.inf)
    exact = softmax(q, k, v, mask)

    def blocked(b):
        """Blocks of b queries and the width − 1 + b keys that they may see."""
        kp, vp = (torch.cat([torch.zeros(H, width - 1, d), t], 1).unfold(1, width - 1 + b, b) for t in (k, v))
        i, j = torch.arange(b)[:, None], torch.arange(width - 1 + b)[None, :]
        m = torch.where((j >= i) & (j < i + width), 0.0, -math.inf).repeat(n // b, 1, 1)
        # The first keys are padding.
        for t in range(min(n // b, -(-(width - 1) // b))): m[t, :, : max(0, width - 1 - t * b)] = -math.inf
        def run():
            s = torch.matmul(q.view(H, n // b, b, d) * d ** -0.5, kp) + m
            return torch.matmul(torch.softmax(s, -1), vp.transpose(-1, -2)).reshape(H, n, d)
        assert (run() - exact).abs().max() < 1e-4
        return run
    with torch.no_grad(): say("attention forward, window", size, min(best(w) for w in [lambda: softmax(q, k, v, mask)] + [blocked(b) for b in (64, 128, 256)]))

    decay = math.exp(-0.01)
    def linear(c):
        i = torch.arange(c).float(); inside = torch.where(i[:, None] >= i[None, :], decay ** (i[:, None] - i[None, :]), 0.0)
        before, after = decay ** (i + 1)[:, None], decay ** (c - 1 - i)[:, None]
        def run():
            s = torch.zeros(H, d, d); o = torch.empty(H, n, d)
            for t in range(0, n, c):
                a, b, e = q[:, t:t + c], k[:, t:t + c], v[:, t:t + c]
                o[:, t:t + c] = torch.matmul(torch.matmul(a, b.transpose(1, 2)) * inside, e) + torch.matmul(a * before, s)
                s = s * decay ** c + torch.matmul((b * after).transpose(1, 2), e)
            return o
        return run
    with torch.no_grad(): say("linear attention forward", size, min(best(linear(c)) for c in (64, 128, 256)))

for groups in (32, 8):
    for n in [8192] + ([] if quick else [2048]):
        d = 128; q, k, v = torch.randn(groups, 32 // groups, d), torch.randn(groups, n, d), torch.randn(groups, n, d)
        with torch.no_grad(): say("decode f32", f"32 heads on {groups}, {n} keys, {d}", best(lambda: softmax(q, k, v)))
