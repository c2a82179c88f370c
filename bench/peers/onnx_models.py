"""Writes the one-operator models that onnx.js runs. Usage: python3 onnx_models.py FOLDER"""
import sys
from onnx import TensorProto as T, helper as h

folder, H = sys.argv[1], 8


def save(name, node, inputs, outputs, standard=20):
    model = h.make_model(h.make_graph([node], name, inputs, outputs), opset_imports=[h.make_opsetid("", standard), h.make_opsetid("com.microsoft", 1)])
    model.ir_version = 10
    with open(f"{folder}/{name}.onnx", "wb") as f: f.write(model.SerializeToString())


def of(name, shape, kind=T.FLOAT): return h.make_tensor_value_info(name, kind, shape)


for d in (64, 128):
    for causal in (0, 1):
        save(f"multihead_{d}_{causal}", h.make_node("MultiHeadAttention", ["q", "k", "v"], ["o"], domain="com.microsoft", num_heads=H, unidirectional=causal),
             [of(x, [1, "N", H * d]) for x in "qkv"], [of("o", [1, "N", H * d])])
        save(f"attention_{d}_{causal}", h.make_node("Attention", ["q", "k", "v"], ["o"], is_causal=causal), [of(x, [1, H, "N", d]) for x in "qkv"], [of("o", [1, H, "N", d])], standard=23)
    save(f"grouped_{d}_1", h.make_node("GroupQueryAttention", ["q", "k", "v", "", "", "sl", "tl"], ["o", "pk", "pv"], domain="com.microsoft", num_heads=H, kv_num_heads=H),
         [of(x, [1, "N", H * d]) for x in "qkv"] + [of("sl", [1], T.INT32), of("tl", [1], T.INT32)], [of("o", [1, "N", H * d]), of("pk", [1, H, "P", d]), of("pv", [1, H, "P", d])])
for g in (32, 8):
    save(f"decode_{g}", h.make_node("GroupQueryAttention", ["q", "k", "v", "pk0", "pv0", "sl", "tl"], ["o", "pk", "pv"], domain="com.microsoft", num_heads=32, kv_num_heads=g),
         [of("q", [1, 1, 32 * 128]), of("k", [1, 1, g * 128]), of("v", [1, 1, g * 128]), of("pk0", [1, g, "P", 128]), of("pv0", [1, g, "P", 128]), of("sl", [1], T.INT32), of("tl", [1], T.INT32)],
         [of("o", [1, 1, 32 * 128]), of("pk", [1, g, "R", 128]), of("pv", [1, g, "R", 128])])
    save(f"step_{g}", h.make_node("Attention", ["q", "k", "v"], ["o"]), [of("q", [1, 32, 1, 128]), of("k", [1, g, "M", 128]), of("v", [1, g, "M", 128])], [of("o", [1, 32, 1, 128])], standard=23)
save("product", h.make_node("MatMul", ["a", "b"], ["c"]), [of("a", ["M", "K"]), of("b", ["K", "N"])], [of("c", ["M", "N"])])
