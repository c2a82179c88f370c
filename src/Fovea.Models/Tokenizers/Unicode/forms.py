"""Writes forms.bin, the tables of UnicodeForms.cs, from ICU 72, as far as Unicode 9.0 had the characters: python3 forms.py"""
import ctypes, pathlib

icu, error = ctypes.CDLL("libicuuc.so.72"), ctypes.c_int(0)

def normalizer(name):
    get = getattr(icu, name)
    get.restype = ctypes.c_void_p
    return ctypes.c_void_p(get(ctypes.byref(error)))

nfc, nfkc = normalizer("unorm2_getNFCInstance_72"), normalizer("unorm2_getNFKCInstance_72")
raw, pair, combining = icu.unorm2_getRawDecomposition_72, icu.unorm2_composePair_72, icu.u_getCombiningClass_72
raw.argtypes = [ctypes.c_void_p, ctypes.c_int32, ctypes.c_void_p, ctypes.c_int32, ctypes.c_void_p]
pair.argtypes = [ctypes.c_void_p, ctypes.c_int32, ctypes.c_int32]
combining.restype = ctypes.c_uint8
age, category = icu.u_charAge_72, icu.u_charType_72
category.restype = ctypes.c_int8

def decomposition(form, c):
    buffer = (ctypes.c_uint16 * 64)()
    n = raw(form, c, buffer, 64, ctypes.byref(error))
    return bytes(buffer)[:2 * n].decode("utf-16-le") if n > 0 else None

def known(c):
    version = (ctypes.c_uint8 * 4)()
    age(c, version)
    return 0 < version[0] <= 9

def extend(runs, c, value):
    if runs and runs[-1][0] + runs[-1][1] == c and runs[-1][2] == value: runs[-1][1] += 1
    else: runs.append([c, 1, value])

canonical, compatible, classes, never, marks = [], [], [], [], []
for c in range(0x110000):
    if 0xD800 <= c < 0xE000 or 0xAC00 <= c < 0xD7A4 or not known(c): continue        # surrogates; Hangul is computed
    if category(c) in (6, 7, 8) or c in (0x1CF2, 0x1CF3): extend(marks, c, 0)        # these two have become letters since
    if k := combining(c): extend(classes, c, k)
    own, other = decomposition(nfc, c), decomposition(nfkc, c)
    if own: canonical.append((c, own))
    if other and other != own: compatible.append((c, other))
    if own and len(own) == 2 and pair(nfc, ord(own[0]), ord(own[1])) != c: never.append(c)

out = bytearray()
def number(n):
    while n >= 0x80: out.append(n & 0x7F | 0x80); n >>= 7
    out.append(n)
def distances(rows, write):
    number(len(rows)); last = 0
    for row in rows: number(row[0] - last); last = row[0]; write(row)
def text(row):
    number(len(row[1]))
    for ch in row[1]: number(ord(ch))

distances(canonical, text)
distances(compatible, text)
distances(classes, lambda r: (number(r[1]), number(r[2])))
distances([(c,) for c in never], lambda r: None)
distances(marks, lambda r: number(r[1]))
pathlib.Path(__file__).with_name("forms.bin").write_bytes(out)
