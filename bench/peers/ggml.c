// Attention, decoding and products of `fovea bench` in ggml, the kernels of llama.cpp, as the npm package node-llama-cpp brings them.
// Usage: ggml FOLDER VERSION THREADS gemm|attention|decode [quick]; FOLDER holds the libraries, of which ggml takes the best for this processor.
// Prints "peer<TAB>version<TAB>kernel<TAB>size<TAB>threads<TAB>seconds", the best sample of each; processor time on one thread, wall time on more.
// The package has no headers: what is needed of ggml's C interface is declared here.
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct ggml_context Context;
typedef struct ggml_tensor Tensor;
typedef struct ggml_cgraph Graph;
typedef void *Handle;
enum { F32 = 0, F16 = 1, Q4_0 = 2, Q8_0 = 8, BF16 = 30 };
struct ggml_init_params { size_t size; void *buffer; bool no_alloc; };
Context *ggml_init(struct ggml_init_params);
void ggml_free(Context *);
Tensor *ggml_new_tensor_4d(Context *, int type, int64_t, int64_t, int64_t, int64_t);
Tensor *ggml_flash_attn_ext(Context *, Tensor *q, Tensor *k, Tensor *v, Tensor *mask, float scale, float max_bias, float softcap);
Tensor *ggml_mul_mat(Context *, Tensor *, Tensor *);
Graph *ggml_new_graph(Context *);
void ggml_build_forward_expand(Graph *, Tensor *);
size_t ggml_nbytes(const Tensor *);
size_t ggml_quantize_chunk(int type, const float *, void *, int64_t start, int64_t rows, int64_t per_row, const float *);
void ggml_backend_load_all_from_path(const char *);
Handle ggml_backend_init_by_type(int, const char *);
Handle ggml_backend_get_device(Handle);
Handle ggml_backend_dev_backend_reg(Handle);
void *ggml_backend_reg_get_proc_address(Handle, const char *);
Handle ggml_backend_alloc_ctx_tensors(Context *, Handle);
void ggml_backend_buffer_free(Handle);
void ggml_backend_tensor_set(Tensor *, const void *, size_t, size_t);
int ggml_backend_graph_compute(Handle, Graph *);
void ggml_log_set(void (*)(int, const char *, void *), void *);
static void quiet(int level, const char *text, void *data) { (void)level; (void)text; (void)data; }

static int threads;
static Handle backend;
static const char *version;
static double now(void) {
  struct timespec t;
  clock_gettime(threads == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &t);
  return t.tv_sec + 1e-9 * t.tv_nsec;
}
static void say(const char *kernel, const char *size, double t) { printf("llama.cpp\t%s\t%s\t%s\t%d\t%.9g\n", version, kernel, size, threads, t); fflush(stdout); }

static void run(Graph *g) {
  if (ggml_backend_graph_compute(backend, g) != 0) { fprintf(stderr, "ggml: the graph failed\n"); exit(1); }
}
static double best(Graph *g) {
  run(g);
  double t = now(); run(g); t = now() - t;
  int calls = t > 0.005 ? 1 : (int)(0.005 / (t > 1e-8 ? t : 1e-8)), samples = t > 0.5 ? 3 : t > 0.1 ? 5 : 40;
  double least = 1e30;
  for (int i = 0; i < samples; i++) {
    double from = now();
    for (int j = 0; j < calls; j++) run(g);
    double each = (now() - from) / calls;
    if (each < least) least = each;
  }
  return least;
}

// Values do not matter for the time, as long as they are ordinary: one drawn row, as often as it fits.
static void fill(Tensor *t, int type, int64_t row) {
  size_t bytes = ggml_nbytes(t);
  float *x = malloc(row * sizeof(float));
  unsigned s = 1;
  for (int64_t i = 0; i < row; i++) { s = s * 1664525u + 1013904223u; x[i] = (int)s / 2147483648.0f; }
  void *one = malloc(row * sizeof(float));
  size_t each = row * sizeof(float);
  if (type == F32) memcpy(one, x, each); else each = ggml_quantize_chunk(type, x, one, 0, 1, row, NULL);
  for (size_t at = 0; at + each <= bytes; at += each) ggml_backend_tensor_set(t, one, at, each);
  free(x); free(one);
}

// q [heads, n, d] over k, v [groups, keys, d] in a format.
static double attend(int type, int heads, int groups, int n, int keys, int d, bool causal) {
  Context *c = ggml_init((struct ggml_init_params){ 4 << 20, NULL, true });
  Tensor *q = ggml_new_tensor_4d(c, F32, d, n, heads, 1), *k = ggml_new_tensor_4d(c, type, d, keys, groups, 1), *v = ggml_new_tensor_4d(c, type, d, keys, groups, 1);
  Tensor *mask = causal ? ggml_new_tensor_4d(c, F16, keys, (n + 63) / 64 * 64, 1, 1) : NULL;
  Graph *g = ggml_new_graph(c);
  ggml_build_forward_expand(g, ggml_flash_attn_ext(c, q, k, v, mask, 1 / sqrtf(d), 0, 0));
  Handle memory = ggml_backend_alloc_ctx_tensors(c, backend);
  fill(q, F32, d); fill(k, type, d); fill(v, type, d);
  if (mask) {
    size_t rows = (n + 63) / 64 * 64;
    uint16_t *m = malloc(rows * keys * sizeof *m);
    for (size_t i = 0; i < rows; i++) for (int j = 0; j < keys; j++) m[i * keys + j] = (size_t)j <= i ? 0 : 0xfc00; // −∞ in half precision
    ggml_backend_tensor_set(mask, m, 0, rows * keys * sizeof *m);
    free(m);
  }
  double t = best(g);
  ggml_backend_buffer_free(memory); ggml_free(c);
  return t;
}

// y [m, n] = x [m, k] · w [n, k]ᵀ with w in a format.
static double product(int type, int m, int k, int n) {
  Context *c = ggml_init((struct ggml_init_params){ 4 << 20, NULL, true });
  Tensor *w = ggml_new_tensor_4d(c, type, k, n, 1, 1), *x = ggml_new_tensor_4d(c, F32, k, m, 1, 1);
  Graph *g = ggml_new_graph(c);
  ggml_build_forward_expand(g, ggml_mul_mat(c, w, x));
  Handle memory = ggml_backend_alloc_ctx_tensors(c, backend);
  fill(w, type, k); fill(x, F32, k);
  double t = best(g);
  ggml_backend_buffer_free(memory); ggml_free(c);
  return t;
}

static void gemm(bool quick) {
  int sizes[][3] = { { 256, 256, 256 }, { 512, 512, 512 }, { 512, 1408, 512 }, { 2048, 256, 688 }, { 1, 4096, 4096 }, { 8, 4096, 4096 }, { 32, 4096, 4096 }, { 1024, 1024, 1024 }, { 2048, 2048, 2048 } };
  char size[60];
  for (int i = 0; i < (quick ? 6 : 9); i++) {
    snprintf(size, sizeof size, "%d×%d×%d", sizes[i][0], sizes[i][1], sizes[i][2]);
    say("gemm nt", size, product(F32, sizes[i][0], sizes[i][1], sizes[i][2]));
  }
  say("gemv f16", "4096×4096", product(F16, 1, 4096, 4096));
  say("gemv q8", "4096×4096", product(Q8_0, 1, 4096, 4096));
  say("gemv q4", "4096×4096", product(Q4_0, 1, 4096, 4096));
}

static void attention(bool quick) {
  int sizes[][2] = { { 512, 64 }, { 512, 128 }, { 2048, 64 }, { 2048, 128 }, { 8192, 64 }, { 8192, 128 } };
  char size[60];
  for (int i = 0; i < (quick ? 3 : 6); i++)
    for (int causal = 0; causal < 2; causal++) {
      int n = sizes[i][0], d = sizes[i][1];
      // Keys and values in single or in half precision: the faster one counts.
      double single = attend(F32, 8, 8, n, n, d, causal), half = attend(F16, 8, 8, n, n, d, causal);
      snprintf(size, sizeof size, "8 heads, %d tokens, %d", n, d);
      say(causal ? "attention forward, causal" : "attention forward", size, single < half ? single : half);
    }
}

static void decode(bool quick) {
  struct { const char *name; int type; } formats[] = { { "decode f32", F32 }, { "decode bf16", BF16 }, { "decode f16", F16 }, { "decode int8", Q8_0 }, { "decode int4", Q4_0 } };
  char size[60];
  for (int f = 0; f < 5; f++)
    for (int groups = 32; groups >= 8; groups -= 24)
      for (int i = 0; i < (quick ? 1 : 2); i++) {
        int keys = i ? 2048 : 8192;
        snprintf(size, sizeof size, "32 heads on %d, %d keys, 128", groups, keys);
        say(formats[f].name, size, attend(formats[f].type, 32, groups, 1, keys, 128, false));
      }
}

int main(int argc, char **argv) {
  if (argc < 5) { fprintf(stderr, "usage: ggml FOLDER VERSION THREADS gemm|attention|decode [quick]\n"); return 2; }
  version = argv[2]; threads = atoi(argv[3]);
  bool quick = argc > 5 && !strcmp(argv[5], "quick");
  ggml_log_set(quiet, NULL);
  ggml_backend_load_all_from_path(argv[1]);
  backend = ggml_backend_init_by_type(0, NULL);
  if (!backend) { fprintf(stderr, "ggml: no library in %s fits this processor\n", argv[1]); return 1; }
  void (*set)(Handle, int) = (void (*)(Handle, int))ggml_backend_reg_get_proc_address(ggml_backend_dev_backend_reg(ggml_backend_get_device(backend)), "ggml_backend_set_n_threads");
  if (!set) { fprintf(stderr, "ggml: cannot set the number of threads\n"); return 1; }
  set(backend, threads);
  if (!strcmp(argv[4], "gemm")) gemm(quick); else if (!strcmp(argv[4], "attention")) attention(quick); else decode(quick);
  return 0;
}
