// Logits, speed and token ids of llama.cpp, as the npm package node-llama-cpp brings it, on a GGUF file.
// Usage: llama FOLDER logits MODEL KV TOKENS OUT      reads TOKENS (int32) in one pass, writes the logits after each of them (float32) to OUT
//        llama FOLDER speed MODEL KV THREADS PROMPT N  prints seconds: prefill of PROMPT tokens, then each of N tokens (mean)
//        llama FOLDER tokens MODEL                     reads a text from standard input, prints its token ids on one line
// FOLDER holds the libraries; KV is f32, f16, q8_0 or q4_0. The package has no headers: what is needed of the C interface is declared here; parameters are opaque but for the fields whose place is checked.
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct { _Alignas(8) uint32_t words[128]; } Params;        // larger than either of the library's structs, which are passed in memory
typedef struct { int32_t n; int32_t *token; float *embd; int32_t *pos, *n_seq; int32_t **seq; int8_t *logits; } Batch;
Params llama_model_default_params(void), llama_context_default_params(void);
void *llama_model_load_from_file(const char *, Params), *llama_init_from_model(void *, Params);
const void *llama_model_get_vocab(const void *);
int32_t llama_vocab_n_tokens(const void *), llama_decode(void *, Batch), llama_tokenize(const void *, const char *, int32_t, int32_t *, int32_t, bool special, bool parse);
Batch llama_batch_get_one(int32_t *, int32_t);
float *llama_get_logits(void *);
void llama_set_n_threads(void *, int32_t, int32_t), ggml_backend_load_all_from_path(const char *), llama_log_set(void (*)(int, const char *, void *), void *);

static void quiet(int level, const char *text, void *data) { (void)data; if (level == 4) fputs(text, stderr); }
static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec * 1e-9; }
static void *need(void *p, const char *what) { if (!p) { fprintf(stderr, "%s failed\n", what); exit(1); } return p; }
static uint32_t type(const char *name) { return !strcmp(name, "f32") ? 0 : !strcmp(name, "f16") ? 1 : !strcmp(name, "q8_0") ? 8 : !strcmp(name, "q4_0") ? 2 : (need(NULL, name), 0); }

static void *context(void *model, int tokens, const char *kv) {
  enum { Types = 26 };                                              // place of type_k, type_v: half precision unless asked otherwise
  Params p = llama_context_default_params();
  if (p.words[Types] != 1 || p.words[Types + 1] != 1) { fprintf(stderr, "this version keeps its parameters elsewhere\n"); exit(1); }
  p.words[0] = (tokens + 255) / 256 * 256; p.words[1] = tokens > 2048 ? 2048 : tokens; p.words[Types] = p.words[Types + 1] = type(kv);
  return need(llama_init_from_model(model, p), "context");
}

int main(int argc, char **argv) {
  if (argc < 4) return 2;
  ggml_backend_load_all_from_path(argv[1]); llama_log_set(quiet, NULL);
  Params m = llama_model_default_params(); bool *flags = (bool *)m.words + 72;        // vocab_only comes first
  if (flags[0] || flags[1] || !flags[2]) { fprintf(stderr, "this version keeps its parameters elsewhere\n"); return 1; }
  flags[0] = !strcmp(argv[2], "tokens");
  void *model = need(llama_model_load_from_file(argv[3], m), "loading");
  const void *vocab = llama_model_get_vocab(model); int size = llama_vocab_n_tokens(vocab);
  if (!strcmp(argv[2], "tokens")) {
    size_t room = 1 << 20, n = 0; char *text = malloc(room);
    for (size_t got; (got = fread(text + n, 1, room - n, stdin)) > 0;) if ((n += got) == room) text = realloc(text, room *= 2);
    int32_t *ids = malloc((n + 8) * sizeof *ids), count = llama_tokenize(vocab, text, n, ids, n + 8, false, false);
    for (int i = 0; i < count; i++) printf("%d ", ids[i]);
    puts(""); return 0;
  }
  if (!strcmp(argv[2], "logits")) {
    FILE *in = need(fopen(argv[5], "rb"), argv[5]), *out = need(fopen(argv[6], "wb"), argv[6]);
    static int32_t tokens[1 << 16]; int n = fread(tokens, 4, 1 << 16, in);
    void *c = context(model, n, argv[4]); Batch b = llama_batch_get_one(tokens, n);
    b.logits = malloc(n); memset(b.logits, 1, n);
    if (llama_decode(c, b)) { fprintf(stderr, "decoding failed\n"); return 1; }
    fwrite(llama_get_logits(c), 4, (size_t)n * size, out); fclose(out); return 0;
  }
  int threads = atoi(argv[5]), prompt = atoi(argv[6]), n = atoi(argv[7]); void *c = context(model, prompt + n + 8, argv[4]); llama_set_n_threads(c, threads, threads);
  int32_t *tokens = malloc(prompt * sizeof *tokens + 4);
  for (int i = 0; i < prompt; i++) tokens[i] = (i * 7919 + 13) % size;
  double start = now();
  for (int at = 0; at < prompt; at += 2048) if (llama_decode(c, llama_batch_get_one(tokens + at, prompt - at < 2048 ? prompt - at : 2048))) return 1;
  if (prompt) llama_get_logits(c);
  double read = now() - start; start = now();
  for (int i = 0; i < n; i++) { tokens[0] = (i * 31 + 5) % size; if (llama_decode(c, llama_batch_get_one(tokens, 1))) return 1; llama_get_logits(c); }
  printf("%.6f %.6f\n", read, n ? (now() - start) / n : 0); return 0;
}
