// The attention and products of `fovea bench` in ONNX Runtime. Usage: NODE_PATH=… node onnx.js MODELS THREADS gemm|attention|decode [quick]
// Prints "peer<TAB>version<TAB>kernel<TAB>size<TAB>threads<TAB>seconds", the best sample of each; processor time on one thread, wall time on more.
// Of several operators that compute the same the fastest counts.
const ort = require('onnxruntime-node');
const [, , models, count, what, speed] = process.argv, threads = +count, quick = speed === 'quick';
const version = ort.env.versions?.node ?? '';

function now() {
  if (threads > 1) return Number(process.hrtime.bigint()) / 1e9;
  const u = process.cpuUsage();
  return (u.user + u.system) / 1e6;
}
function draw(n) {
  const a = new Float32Array(n);
  for (let i = 0, x = 123456789; i < n; i++) { x ^= x << 13; x ^= x >>> 17; x ^= x << 5; a[i] = (x | 0) / 2147483648 * 1.73; }
  return a;
}
const floats = (shape, data) => new ort.Tensor('float32', data ?? draw(shape.reduce((x, y) => x * y)), shape);
const empty = shape => floats(shape, new Float32Array(shape.reduce((x, y) => x * y)));
const whole = n => new ort.Tensor('int32', Int32Array.of(n), [1]);

async function best(name, inputs, outputs) {
  const session = await ort.InferenceSession.create(`${models}/${name}.onnx`, { intraOpNumThreads: threads, interOpNumThreads: 1, executionProviders: ['cpu'] });
  const run = () => session.run(inputs, outputs);
  await run(); let t = now(); await run();
  const once = Math.max(now() - t, 1e-6), calls = Math.max(1, Math.floor(0.005 / once)), samples = once > 0.5 ? 3 : Math.max(5, Math.min(60, Math.floor(0.5 / once)));
  let least = Infinity;
  for (let i = 0; i < samples; i++) { t = now(); for (let j = 0; j < calls; j++) await run(); least = Math.min(least, (now() - t) / calls); }
  await session.release();
  return least;
}
const say = (kernel, size, seconds) => console.log(['ONNX Runtime', version, kernel, size, threads, seconds.toPrecision(9)].join('\t'));

async function gemm() {
  for (const [m, k, n] of [[256, 256, 256], [512, 512, 512], ...(quick ? [] : [[1024, 1024, 1024], [2048, 2048, 2048]]), [512, 1408, 512], [2048, 256, 688], [1, 4096, 4096], [8, 4096, 4096], ...(quick ? [] : [[32, 4096, 4096]])])
    say('gemm nn', `${m}×${k}×${n}`, await best('product', { a: floats([m, k]), b: floats([k, n]) }, { c: empty([m, n]) }));
}

async function attention() {
  const h = 8;
  for (const [n, d] of [[512, 64], [512, 128], [2048, 64], ...(quick ? [] : [[2048, 128], [8192, 64], [8192, 128]])])
    for (const causal of [0, 1]) {
      let least = Infinity;
      for (const operator of ['multihead', 'attention', ...(causal ? ['grouped'] : [])]) {
        const shape = operator === 'attention' ? [1, h, n, d] : [1, n, h * d];
        const inputs = { q: floats(shape), k: floats(shape), v: floats(shape) }, outputs = { o: empty(shape) };
        if (operator === 'grouped') { inputs.sl = whole(n - 1); inputs.tl = whole(n); outputs.pk = empty([1, h, n, d]); outputs.pv = empty([1, h, n, d]); }
        try { least = Math.min(least, await best(`${operator}_${d}_${causal}`, inputs, outputs)); }
        catch (e) { console.error(`${operator} ${d} ${n} ${causal}: ${String(e).slice(0, 200)}`); }
      }
      if (least < Infinity) say('attention forward' + (causal ? ', causal' : ''), `${h} heads, ${n} tokens, ${d}`, least);
    }
}

async function decode() {
  const h = 32, d = 128;
  for (const g of [32, 8])
    for (const n of [8192, ...(quick ? [] : [2048])]) {
      // The cache is both input and output, so nothing is copied.
      const pk = floats([1, g, n, d]), pv = floats([1, g, n, d]);
      const inputs = { q: floats([1, 1, h * d]), k: floats([1, 1, g * d]), v: floats([1, 1, g * d]), pk0: pk, pv0: pv, sl: whole(n - 1), tl: whole(n) };
      const grouped = await best(`decode_${g}`, inputs, { o: empty([1, 1, h * d]), pk, pv });
      const plain = await best(`step_${g}`, { q: floats([1, h, 1, d]), k: pk, v: pv }, { o: empty([1, h, 1, d]) });
      say('decode f32', `${h} heads on ${g}, ${n} keys, ${d}`, Math.min(grouped, plain));
    }
}

({ gemm, attention, decode })[what]().catch(e => { console.error(String(e)); process.exit(1); });
