// What a newcomer writes who has the typings only: two kinds of customers, and one who uses OpenAI's protocol, under a load that
// rises and falls.
import { check } from 'k6';
import type { Options } from 'k6/options';
import { Client, PromptSet, loadPolicy, phase, scenario, summary } from 'k6/x/chatbot';
import type { Conversation, Reply } from 'k6/x/chatbot';

const policy = loadPolicy(__ENV.POLICY, { route: 'POST /api/chat' });
const shop = new Client({
  baseURL: __ENV.BASE_URL, slo: policy.slo, timeout: '10s', headers: { 'X-Test': 'newcomer' }, tags: { kind: 'shop' },
});
const piece = new Client({ baseURL: __ENV.BASE_URL, stream: false, slo: { latency: '1s', quantile: 0.99, errors: 0.01 } });
const openai = new Client({ baseURL: __ENV.BASE_URL, protocol: 'openai', model: 'shop', stream: true, keepText: true });
const prompts = new PromptSet(undefined, { seed: 7, repeatRatio: 0.2 });
const route = policy.cache.find((r) => r.method === 'GET' && r.path === '/api/products');

export const options: Options = {
  scenarios: {
    talkers: scenario('spike', { scale: 0.01, target: 10, exec: 'talk', tags: { who: 'talkers' } }),
    askers: { executor: 'constant-arrival-rate', rate: 5, duration: '3s', preAllocatedVUs: 10, exec: 'ask' },
    clients: { executor: 'per-vu-iterations', vus: 2, iterations: 2, exec: 'client' },
  },
  thresholds: {
    ...policy.thresholds({ phases: ['baseline', { name: 'peak', latency: '2s', errors: 0.05 }], recovery: 500 }),
    checks: ['rate==1'],
    chat_goodput: ['rate>0.9'],
    'chat_turns{phase:steady}': ['count>0'],
  },
};

export async function talk(): Promise<void> {
  const replies: Reply[] = [];
  const whole: boolean = await shop
    .conversation({ turns: [1, 3], prompts, seed: 3, think: { dist: 'exponential', median: 30, max: '100ms' }, pacing: 'fixed' })
    .run((reply) => {
      replies.push(reply);
      return replies.length < 2;
    });
  check(replies, {
    'each has a text': (all) => whole && all.every((r) => r.ok && r.text.length > 0 && r.errorType === ''),
    'at most two': (all) => all.length <= 2,
    'times make sense': (all) => all.every(({ timings: t }) => t.firstToken <= t.duration && t.duration <= t.corrected),
  });
}

export async function ask(): Promise<void> {
  const conversation: Conversation = piece.conversation();
  const [reply, cached, well] = await Promise.all([
    conversation.send('Où est ma commande ?', { language: 'fr', intent: 'sav', userProfile: { name: 'Léa' } }),
    piece.cached('/api/products?language=en', { ttl: route!.ttl }),
    piece.health(),
  ]);
  check(reply, {
    'is the first': (r) => r.turn === 1 && conversation.turn === 1 && conversation.id !== '',
    'is no stream': (r) => r.status === 200 && r.timings.firstToken === 0 && !r.shed && r.rule === '',
    'keeps the cache\'s contract': () => cached.ok && cached.broken.length === 0,
    'is well, and knows the phase': () => well && phase() === 'steady',
  });
}

export async function client(): Promise<void> {
  const { text, language, intent } = prompts.next();
  const conversation = openai.conversation({ think: { dist: 'fixed', median: 5 } });
  for (const message of [text, 'Merci !']) {
    await conversation.think();
    const reply = await conversation.send(message, { intent, language: language as 'fr' });
    check(reply, { 'is streamed, and counted': (r) => r.ok && r.timings.firstToken > 0 && r.usage.outputTokens > 0 });
  }
}

export function handleSummary(data: object): Record<string, string> {
  return summary(data, { name: 'newcomer', dir: __ENV.OUT, config: { by: 'hand' } });
}
