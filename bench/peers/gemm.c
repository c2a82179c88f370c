// The products of `fovea bench gemm` in a BLAS. Usage: gemm THREADS [quick]; build with -DOPENBLAS, -DBLIS or -DONEDNN and that library.
// Prints "peer<TAB>version<TAB>kernel<TAB>size<TAB>threads<TAB>seconds", the best sample of each; processor time on one thread, wall time on more.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#ifdef ONEDNN
#include <dnnl.h>
#else
#include <cblas.h>
#endif
#ifdef BLIS
char *bli_info_get_version_str(void);
#endif

static int threads;
static double now(void) {
  struct timespec t;
  clock_gettime(threads == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &t);
  return t.tv_sec + 1e-9 * t.tv_nsec;
}

static const char *version(void) {
  static char text[80];
#ifdef ONEDNN
  const dnnl_version_t *v = dnnl_version();
  snprintf(text, sizeof text, "oneDNN\t%d.%d.%d", v->major, v->minor, v->patch);
#elif defined BLIS
  snprintf(text, sizeof text, "BLIS\t%s", bli_info_get_version_str());
#else
  char name[40];
  sscanf(openblas_get_config(), "%*s %39s", name);
  snprintf(text, sizeof text, "OpenBLAS\t%s", name);
#endif
  return text;
}

typedef struct { char kind; int m, k, n, batch, vector; float *a, *b, *c; } Product;

static void run(const Product *p) {
  int m = p->m, k = p->k, n = p->n;
  for (int i = 0; i < p->batch; i++) {
    const float *a = p->a + (size_t)i * m * k, *b = p->b + (size_t)i * k * n;
    float *c = p->c + (size_t)i * m * n;
#ifdef ONEDNN
    dnnl_sgemm(p->kind == 'A' ? 'T' : 'N', p->kind == 'B' ? 'T' : 'N', m, n, k, 1, a, p->kind == 'A' ? m : k, b, p->kind == 'B' ? k : n, 0, c, n);
#else
    if (p->vector) cblas_sgemv(CblasRowMajor, p->kind == 'B' ? CblasNoTrans : CblasTrans, p->kind == 'B' ? n : k, p->kind == 'B' ? k : n, 1, b, p->kind == 'B' ? k : n, a, 1, 0, c, 1);
    else cblas_sgemm(CblasRowMajor, p->kind == 'A' ? CblasTrans : CblasNoTrans, p->kind == 'B' ? CblasTrans : CblasNoTrans, m, n, k, 1, a, p->kind == 'A' ? m : k, b, p->kind == 'B' ? k : n, 0, c, n);
#endif
  }
}

static double best(const Product *p) {
  run(p);
  double t = now(); run(p); t = now() - t;
  int calls = t > 0.005 ? 1 : (int)(0.005 / (t > 1e-9 ? t : 1e-9)), samples = t > 0.1 ? 5 : 60;
  if (calls > 100000) calls = 100000;
  double least = 1e30;
  for (int i = 0; i < samples; i++) {
    double from = now();
    for (int j = 0; j < calls; j++) run(p);
    double each = (now() - from) / calls;
    if (each < least) least = each;
  }
  return least;
}

static float *draw(size_t n) {
  float *x = aligned_alloc(64, (n * sizeof(float) + 63) / 64 * 64);
  unsigned s = 1;
  for (size_t i = 0; i < n; i++) { s = s * 1664525u + 1013904223u; x[i] = (int)s / 2147483648.0f; }
  return x;
}

// kind: which operand lies transposed, none (N), the second (B) or the first (A).
static void measure(char kind, int m, int k, int n, int batch) {
  Product p = { kind, m, k, n, batch, 0, draw((size_t)batch * m * k), draw((size_t)batch * k * n), draw((size_t)batch * m * n) };
  double t = best(&p);
#ifndef ONEDNN
  // The peer's better operator counts.
  if (m == 1) { p.vector = 1; double v = best(&p); if (v < t) t = v; }
#endif
  char size[60] = "";
  if (batch > 1) snprintf(size, sizeof size, "%d × ", batch);
  snprintf(size + strlen(size), sizeof size - strlen(size), "%d×%d×%d", m, k, n);
  printf("%s\tgemm %s\t%s\t%d\t%.9g\n", version(), kind == 'N' ? "nn" : kind == 'B' ? "nt" : "tn", size, threads, t);
  fflush(stdout);
  free(p.a); free(p.b); free(p.c);
}

int main(int argc, char **argv) {
  threads = argc > 1 ? atoi(argv[1]) : 1;
  int quick = argc > 2 && !strcmp(argv[2], "quick");
  for (int n = 256; n <= (quick ? 512 : 2048); n *= 2) { measure('N', n, n, n, 1); measure('B', n, n, n, 1); measure('A', n, n, n, 1); }
  int shapes[2][3] = { { 512, 1408, 512 }, { 2048, 256, 688 } };
  for (int i = 0; i < 2; i++) { int *s = shapes[i]; measure('N', s[0], s[1], s[2], 1); measure('B', s[0], s[1], s[2], 1); if (!quick) measure('A', s[0], s[1], s[2], 1); }
  measure('B', 2048, 64, 2048, 1); measure('N', 2048, 2048, 64, 1); measure('N', 64, 4096, 64, 1);
  int rows[3] = { 1, 8, 32 };
  for (int i = 0; i < (quick ? 2 : 3); i++) { measure('N', rows[i], 4096, 4096, 1); measure('B', rows[i], 4096, 4096, 1); }
  measure('N', 64, 64, 64, 256); measure('B', 64, 64, 64, 256);
  return 0;
}
