// What OpenAI's own client finds at a server of Fovea: node check.mjs URL KEY
import OpenAI from 'openai';

const [baseURL, apiKey] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0, timeout: 60_000 });
const model = 'tiny', seed = 5, temperature = 0.8;
const messages = [{ role: 'system', content: 'Beno keeps the old lamp.' }, { role: 'user', content: 'What does Beno keep?' }];
let succeeded = 0, failed = 0;

function must(holds, what) { if (!holds) throw new Error(what); }
function same(a, b) { must(JSON.stringify(a) === JSON.stringify(b), `${JSON.stringify(a)}, expected ${JSON.stringify(b)}`); }
async function check(name, body) {
  try { await body(); succeeded++; } catch (e) { failed++; console.log(`failed ${name}: ${e?.stack ?? e}`); }
}
async function refused(kind, status, call) {
  try { await call(); } catch (e) {
    must(e instanceof kind, `${e?.constructor?.name}: ${e?.message}, expected ${kind.name}`);
    same(e.status, status); must(e.message.length > 8, 'no message'); must(typeof e.type === 'string', 'no type');
    return e;
  }
  throw new Error('was not refused');
}

await check('models are listed and found by name', async () => {
  const names = []; for await (const m of client.models.list()) names.push(m.id);
  same(names, [model]); const found = await client.models.retrieve(model);
  same([found.id, found.object], [model, 'model']);
});
await check('a model that is not there', () => refused(OpenAI.NotFoundError, 404, () => client.models.retrieve('nobody')));

let whole;
await check('a chat', async () => {
  whole = await client.chat.completions.create({ model, messages, seed, temperature, max_completion_tokens: 12 });
  const choice = whole.choices[0];
  must(choice.message.content.length > 0, 'no text'); same([choice.index, choice.message.role, whole.object], [0, 'assistant', 'chat.completion']); must(['stop', 'length'].includes(choice.finish_reason), choice.finish_reason);
  same(whole.usage.total_tokens, whole.usage.prompt_tokens + whole.usage.completion_tokens);
});
await check('a chat in pieces', async () => {
  let text = '', reason, usage, roles = 0;
  for await (const part of await client.chat.completions.create({ model, messages, seed, temperature, max_completion_tokens: 12, stream: true, stream_options: { include_usage: true } })) {
    same(part.object, 'chat.completion.chunk'); usage ??= part.usage;
    const choice = part.choices[0]; if (choice === undefined) continue;
    if (choice.delta.role) roles++;
    text += choice.delta.content ?? ''; reason ??= choice.finish_reason;
  }
  same([text, reason, roles], [whole.choices[0].message.content, whole.choices[0].finish_reason, 1]); same(usage.completion_tokens, whole.usage.completion_tokens);
});
await check('a chat in pieces that the client puts together', async () => {
  const made = await client.chat.completions.stream({ model, messages, seed, temperature, max_completion_tokens: 12 }).finalChatCompletion();
  same(made.choices[0].message.content, whole.choices[0].message.content); same(made.choices[0].finish_reason, whole.choices[0].finish_reason);
});
await check('content in parts, and a message of a developer', async () => {
  const made = await client.chat.completions.create({ model, messages: [{ role: 'developer', content: messages[0].content }, { role: 'user', content: [{ type: 'text', text: messages[1].content }] }], seed, temperature, max_tokens: 12 });
  same(made.choices[0].message.content, whole.choices[0].message.content);
});
await check('probabilities', async () => {
  const made = await client.chat.completions.create({ model, messages, seed, temperature, max_tokens: 4, logprobs: true, top_logprobs: 2 });
  const told = made.choices[0].logprobs.content;
  same(told.length, made.usage.completion_tokens); for (const t of told) { must(t.logprob <= 0, `${t.logprob}`); same(t.top_logprobs.length, 2); }
});
await check('a schema', async () => {
  const schema = { type: 'object', properties: { kind: { enum: ['lamp', 'boat'] }, count: { type: 'integer' } }, required: ['kind', 'count'], additionalProperties: false };
  const made = await client.chat.completions.parse({ model, messages, seed, max_tokens: 120, response_format: { type: 'json_schema', json_schema: { name: 'thing', strict: true, schema } } });
  const thing = JSON.parse(made.choices[0].message.content);
  must(['lamp', 'boat'].includes(thing.kind) && Number.isInteger(thing.count), made.choices[0].message.content);
});
await check('vectors', async () => {
  // The client asks for base64 by itself and decodes it.
  const two = await client.embeddings.create({ model, input: ['the lamp', 'the boat'] }), one = await client.embeddings.create({ model, input: 'the lamp', encoding_format: 'float' });
  same([two.data.length, two.data[0].embedding.length, two.data[1].index], [2, 32, 1]);
  one.data[0].embedding.forEach((x, i) => must(Math.abs(x - two.data[0].embedding[i]) < 1e-6, `number ${i}`));
  must(Math.abs(one.data[0].embedding.reduce((n, x) => n + x * x, 0) - 1) < 1e-4, 'length is not 1');
});
await check('a text that goes on', async () => {
  const ask = { model, prompt: 'Beno keeps', seed, temperature, max_tokens: 10 }; const made = await client.completions.create(ask); let text = '';
  for await (const part of await client.completions.create({ ...ask, stream: true })) text += part.choices[0]?.text ?? '';
  must(made.choices[0].text.length > 0, 'no text'); same(text, made.choices[0].text);
});
await check('a stop text', async () => {
  const stop = whole.choices[0].message.content.slice(3, 5), made = await client.chat.completions.create({ model, messages, seed, temperature, max_completion_tokens: 12, stop });
  same([made.choices[0].message.content, made.choices[0].finish_reason], [whole.choices[0].message.content.split(stop)[0], 'stop']);
});
await check('a parameter out of its range', async () => { same((await refused(OpenAI.BadRequestError, 400, () => client.chat.completions.create({ model, messages, temperature: 3 }))).param, 'temperature'); });
await check('a chat that is too long', async () => { same((await refused(OpenAI.BadRequestError, 400, () => client.chat.completions.create({ model, messages, max_completion_tokens: 9000 }))).code, 'context_length_exceeded'); });
await check('tools', () => refused(OpenAI.BadRequestError, 400, () => client.chat.completions.create({ model, messages, tools: [{ type: 'function', function: { name: 'f', parameters: {} } }] })));
await check('an endpoint that is not there', () => refused(OpenAI.NotFoundError, 404, () => client.images.generate({ model, prompt: 'x' })));
await check('a wrong key', () => refused(OpenAI.AuthenticationError, 401, () => new OpenAI({ baseURL, apiKey: 'wrong', maxRetries: 0 }).models.list()));
await check('an error within a stream', () => refused(OpenAI.BadRequestError, 400, () => client.chat.completions.create({ model, messages, stream: true, response_format: { type: 'yaml' } })));
await check('leaving a stream frees its place', async () => {
  const schema = { type: 'array', items: { type: 'integer' }, minItems: 100000 }; let pieces = 0;
  for (let i = 0; i < 20; i++)
    for await (const part of await client.chat.completions.create({ model, messages, stream: true, response_format: { type: 'json_schema', json_schema: { name: 'n', schema } } })) { must(part.choices.length === 1, 'no choice'); if (++pieces % 3 === 0) break; }
  const health = async () => (await (await fetch(new URL('/health', baseURL))).json());
  for (let i = 0; i < 200 && (await health()).active > 0; i++) await new Promise(r => setTimeout(r, 20));
  same(await health(), { status: 'ok', active: 0, waiting: 0 });
});

console.log(`  succeeded: ${succeeded}\n  failed: ${failed}`);
process.exit(failed === 0 ? 0 : 1);
