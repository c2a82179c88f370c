"""Trains Fovea's default decoder (4 layers, width 256, byte vocabulary) in PyTorch: the same shapes, batch and threads.

Usage: python3 train.py THREADS [STEPS] [BATCH] [LENGTH]; prints one line "torch VERSION threads T tokens_per_second X" (the fastest step, as fovea bench does).
Install: apt-get install python3-torch (Debian). See README.md beside this file for the settings that matter to PyTorch.
"""
import sys, time, math, torch
import torch.nn.functional as F

threads = int(sys.argv[1]); steps = int(sys.argv[2]) if len(sys.argv) > 2 else 16
B = int(sys.argv[3]) if len(sys.argv) > 3 else 8; N = int(sys.argv[4]) if len(sys.argv) > 4 else 256
torch.set_num_threads(threads); torch.manual_seed(1)
V, C, H, L = 256, 256, 4, 4; D = C // H; HIDDEN = (C * 8 // 3 + 31) // 32 * 32

class Norm(torch.nn.Module):
    def __init__(self):
        super().__init__(); self.w = torch.nn.Parameter(torch.ones(C))
    def forward(self, x): return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.w

inv = 10000 ** (-torch.arange(0, D // 2).float() / (D // 2)); ang = torch.arange(N).float()[:, None] * inv[None]
cos, sin = torch.cat([ang.cos()] * 2, -1), torch.cat([ang.sin()] * 2, -1)
mask = torch.full((N, N), -math.inf).triu(1)
def rope(x):
    h = x.shape[-1] // 2
    return x * cos + torch.cat([-x[..., h:], x[..., :h]], -1) * sin

class Block(torch.nn.Module):
    def __init__(self):
        super().__init__(); lin = lambda i, o: torch.nn.Linear(i, o, bias=False)
        self.n1, self.n2 = Norm(), Norm(); self.q, self.k, self.v, self.o = lin(C, C), lin(C, C), lin(C, C), lin(C, C)
        self.gate, self.up, self.down = lin(C, HIDDEN), lin(C, HIDDEN), lin(HIDDEN, C)
    def forward(self, x):
        h = self.n1(x); s = lambda t: t.view(B, N, H, D).transpose(1, 2)
        q, k, v = rope(s(self.q(h))), rope(s(self.k(h))), s(self.v(h))
        if hasattr(F, "scaled_dot_product_attention"): y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        else: y = torch.softmax(q @ k.transpose(-1, -2) * D ** -0.5 + mask, -1) @ v
        x = x + self.o(y.transpose(1, 2).reshape(B, N, C)); h = self.n2(x)
        return x + self.down(F.silu(self.gate(h)) * self.up(h))

class Model(torch.nn.Module):
    def __init__(self):
        super().__init__(); self.e = torch.nn.Embedding(V, C); self.b = torch.nn.ModuleList(Block() for _ in range(L)); self.n = Norm()
        torch.nn.init.normal_(self.e.weight, std=0.02)
    def forward(self, t):
        x = self.e(t)
        for b in self.b: x = b(x)
        return self.n(x) @ self.e.weight.t()

m = Model(); opt = torch.optim.AdamW(m.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1, foreach=True)
t = torch.randint(0, V, (B, N)); times = []
clock = time.process_time if threads == 1 else time.perf_counter  # as fovea bench does
for _ in range(steps):
    a = clock()
    opt.zero_grad(set_to_none=True); loss = F.cross_entropy(m(t).view(-1, V), t.view(-1)); loss.backward()
    torch.nn.utils.clip_grad_norm_(m.parameters(), 1.0); opt.step()
    times.append(clock() - a)
print(f"torch {torch.__version__} threads {threads} tokens_per_second {B * N / min(times):.0f}")
